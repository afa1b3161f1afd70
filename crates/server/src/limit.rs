//! A limit as an operator writes it.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How much an account may hold of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Limit {
    /// What the configuration says.
    Default,
    /// As much as there is room for, whatever the configuration says.
    Unlimited,
    /// This much.
    At(u64),
}

impl Limit {
    /// As the engine keeps it with the account.
    pub(crate) fn own(self) -> Option<u64> {
        match self {
            Self::Default => None,
            Self::Unlimited => Some(mail::UNLIMITED),
            Self::At(n) => Some(n),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "default" => return Ok(Self::Default),
            "unlimited" => return Ok(Self::Unlimited),
            _ => {}
        }
        const UNITS: [(char, u32); 4] = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];
        let (digits, shift) = UNITS
            .iter()
            .find_map(|(unit, shift)| {
                let digits = text.strip_suffix([*unit, unit.to_ascii_uppercase()])?;
                Some((digits, *shift))
            })
            .unwrap_or((text, 0));
        let number = digits.parse::<u64>().ok();
        number
            .and_then(|n| n.checked_mul(1 << shift))
            .filter(|n| *n < mail::UNLIMITED)
            .map(Self::At)
            .ok_or_else(|| "give a number, `unlimited` or `default`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        for bad in [
            "",
            "-1",
            "G",
            "1.5G",
            "18446744073709551615",
            "99999999999T",
            "1GB",
        ] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
        assert_eq!("0".parse(), Ok(Limit::At(0)));
        assert_eq!("10G".parse(), Ok(Limit::At(10 << 30)));
        assert_eq!("Unlimited".parse(), Ok(Limit::Unlimited));
        assert_eq!("default".parse(), Ok(Limit::Default));
    }
}

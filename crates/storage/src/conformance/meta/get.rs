//! `get` and `get_many`.

use crate::conformance::support::{A, bytes};
use crate::conformance::{MetaCase, MetaHarness};

pub async fn absent_key_has_no_value<H: MetaHarness>(case: &mut MetaCase<H>) {
    assert_eq!(case.get(A, "key").await, None, "in an empty store");
    case.put_keys(A, &["kex", "key ", "kez"]).await;
    assert_eq!(case.get(A, "key").await, None, "between others");
}

pub async fn a_value_reads_back<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", "value").await;
    assert_eq!(case.get(A, "key").await, Some(bytes("value")));
}

//! What is said to people, in every language of `LANG` (RFC 6856 3). Codes and numbers are not here.

/// A language the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// What every session begins with.
    #[default]
    English,
    /// French.
    French,
    /// German.
    German,
    /// Spanish.
    Spanish,
}

impl Language {
    /// All of them, in the order of the columns below.
    pub const ALL: [Self; 4] = [Self::English, Self::French, Self::German, Self::Spanish];

    /// Its tag (RFC 5646).
    pub fn tag(self) -> &'static str {
        ["en", "fr", "de", "es"][self as usize]
    }

    /// Its name in itself.
    pub fn name(self) -> &'static str {
        ["English", "Français", "Deutsch", "Español"][self as usize]
    }

    /// The language for a range: RFC 4647 3.4, lookup. `de-AT` and `de-Latn-AT` find `de`.
    pub fn find(range: &str) -> Option<Self> {
        let mut range = range;
        loop {
            let found = Self::ALL
                .into_iter()
                .find(|language| language.tag().eq_ignore_ascii_case(range));
            match (found, range.rsplit_once('-')) {
                (None, Some((shorter, _))) => range = shorter,
                (found, _) => return found,
            }
        }
    }
}

macro_rules! texts {
    ($($name:ident: $en:literal, $fr:literal, $de:literal, $es:literal;)*) => {
        /// A sentence, or a part of one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Text {
            $($name,)*
        }

        impl Text {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is said in a language.
            pub(crate) fn say(self, language: Language) -> &'static str {
                match self {
                    $(Self::$name => [$en, $fr, $de, $es][language as usize],)*
                }
            }
        }
    };
}

texts! {
    Messages: "messages", "messages", "Nachrichten", "mensajes";
    Octets: "octets", "octets", "Oktette", "octetos";
    MessageDeleted: "message deleted", "message supprimé", "Nachricht gelöscht", "mensaje borrado";
    Bye: "bye", "au revoir", "auf Wiedersehen", "hasta luego";
    BeginTls: "begin TLS", "commencez TLS", "TLS kann beginnen", "comience TLS";
    Utf8Enabled: "UTF8 enabled", "UTF8 activé", "UTF8 eingeschaltet", "UTF8 activado";
    LanguageIs: "texts in English", "textes en français", "Texte auf Deutsch", "textos en español";
    Unknown: "unknown command", "commande inconnue", "unbekannter Befehl", "orden desconocida";
    WrongState: "command not allowed in this state", "commande interdite dans cet état",
        "Befehl in diesem Zustand nicht erlaubt", "orden no permitida en este estado";
    TooLong: "line too long", "ligne trop longue", "Zeile zu lang", "línea demasiado larga";
    MissingArgument: "argument missing", "argument manquant", "Argument fehlt", "falta un argumento";
    ExtraArgument: "too many arguments", "trop d'arguments", "zu viele Argumente",
        "demasiados argumentos";
    NotANumber: "not a number", "ce n'est pas un nombre", "keine Zahl", "no es un número";
    NoUserYet: "USER comes first", "USER doit venir d'abord", "zuerst kommt USER",
        "primero viene USER";
    TooManyBad: "too many bad commands", "trop de commandes erronées", "zu viele falsche Befehle",
        "demasiadas órdenes erróneas";
    NoMessage: "no such message", "ce message n'existe pas", "diese Nachricht gibt es nicht",
        "no existe ese mensaje";
    Deleted: "message is deleted", "le message est supprimé", "die Nachricht ist gelöscht",
        "el mensaje está borrado";
    NoMechanism: "unknown authentication mechanism", "mécanisme d'authentification inconnu",
        "unbekanntes Anmeldeverfahren", "mecanismo de autenticación desconocido";
    NotBase64: "not valid base64", "base64 non valide", "kein gültiges Base64", "base64 no válido";
    Cancelled: "authentication cancelled", "authentification annulée", "Anmeldung abgebrochen",
        "autenticación cancelada";
    NoTls: "TLS is not available here", "TLS n'est pas disponible ici",
        "TLS ist hier nicht verfügbar", "TLS no está disponible aquí";
    TlsAfterUtf8: "STLS comes before UTF8", "STLS doit précéder UTF8", "STLS kommt vor UTF8",
        "STLS viene antes de UTF8";
    BadCredentials: "invalid name or password", "nom ou mot de passe incorrect",
        "Name oder Passwort falsch", "nombre o contraseña incorrectos";
    NeedsTls: "TLS is required to log in", "TLS est exigé pour se connecter",
        "zur Anmeldung ist TLS nötig", "se exige TLS para iniciar sesión";
    NoFolder: "no such folder", "ce dossier n'existe pas", "diesen Ordner gibt es nicht",
        "no existe esa carpeta";
    TooManyLogins: "too many failed logins", "trop d'échecs de connexion",
        "zu viele falsche Anmeldungen", "demasiados intentos fallidos";
    Revoked: "the password you used was revoked", "votre mot de passe a été révoqué",
        "das benutzte Passwort wurde widerrufen", "la contraseña usada fue revocada";
    TooSoon: "logged in too recently, try again later",
        "dernière connexion trop récente, réessayez plus tard",
        "letzte Anmeldung zu kurz her, bitte später",
        "última sesión demasiado reciente, inténtelo más tarde";
    InUse: "another session has this maildrop open",
        "une autre session utilise cette boîte", "eine andere Sitzung benutzt dieses Postfach",
        "otra sesión tiene abierto este buzón";
    NeedsUtf8: "this message can be retrieved after UTF8 only",
        "ce message ne peut être lu qu'après UTF8", "diese Nachricht ist erst nach UTF8 abrufbar",
        "este mensaje solo puede leerse después de UTF8";
    NoLanguage: "no such language", "langue inconnue", "diese Sprache gibt es hier nicht",
        "idioma desconocido";
    Shutdown: "server is shutting down", "le serveur s'arrête", "der Server wird angehalten",
        "el servidor se está deteniendo";
    NotUpdated: "nothing was deleted, try again later", "rien n'a été supprimé, réessayez plus tard",
        "nichts wurde gelöscht, bitte später", "no se borró nada, inténtelo más tarde";
    Unavailable: "storage is unavailable", "le stockage est indisponible",
        "der Speicher ist nicht erreichbar", "el almacenamiento no está disponible";
    Damaged: "the message is damaged, ask the administrator",
        "le message est endommagé, adressez-vous à l'administrateur",
        "die Nachricht ist beschädigt, bitte den Verwalter fragen",
        "el mensaje está dañado, consulte al administrador";
    Gone: "the message or folder is gone", "le message ou le dossier n'existe plus",
        "die Nachricht oder der Ordner ist weg", "el mensaje o la carpeta ya no existe";
    CannotAuthenticate: "cannot check the password now",
        "le mot de passe ne peut être vérifié maintenant",
        "das Passwort kann jetzt nicht geprüft werden",
        "ahora no se puede comprobar la contraseña";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_fits_a_response_line_in_every_language() {
        for text in Text::ALL {
            for language in Language::ALL {
                let said = text.say(language);
                // RFC 2449 4: 512 octets for the whole line; a bracket would begin a code.
                assert!((1..=200).contains(&said.len()), "{text:?}");
                assert!(!said.contains(char::is_control) && !said.starts_with('['));
                assert!(language != Language::English || said.is_ascii(), "{said}");
            }
        }
    }

    #[test]
    fn rfc4647_3_4_a_range_finds_the_language_it_begins_with() {
        for (range, want) in [
            ("en", Some(Language::English)),
            ("FR", Some(Language::French)),
            ("de-AT", Some(Language::German)),
            ("es-Latn-419", Some(Language::Spanish)),
            ("deu", None),
            ("it", None),
            ("", None),
            ("-", None),
            ("*", None),
            ("d", None),
        ] {
            assert_eq!(Language::find(range), want, "{range}");
        }
    }
}

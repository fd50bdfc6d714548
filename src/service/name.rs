//! The names that a unit is made of.
//!
//! They become file names, cgroup names, journal fields and launchd labels, so the alphabet is the part of
//! systemd.unit(5)'s that needs no escaping in any of them. A value of these types holds a checked name,
//! also when it was read back from a host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest unit name: with every suffix and prefix that is put around it, a file name stays below 255 bytes.
const UNIT_MAX: usize = 200;

/// Slices that systemd itself or a session manager puts things into.
pub(super) const TAKEN_SLICES: [&str; 8] =
    ["app", "background", "capsule", "init", "machine", "session", "system", "user"];

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing.
    #[error("the name is empty")]
    Empty,
    /// It would make a file name that is too long.
    #[error("the name has {length} bytes, {max} are allowed")]
    TooLong {
        /// Bytes that it has.
        length: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// Its first character is not allowed there.
    #[error("the name starts with {0:?}")]
    Start(char),
    /// It holds a character that is not allowed anywhere.
    #[error("the name holds {0:?}")]
    Char(char),
    /// The system uses a slice of this name.
    #[error("the slice belongs to the system")]
    Taken,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks a name.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                $check(&name).map(|()| Self(name))
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// Name of a unit without suffix: letters, digits, `:`, `_`, `.`, `-`, starting with neither `.` nor `-`;
    /// at most 200 bytes.
    UnitName, check_unit
}

name! {
    /// Name of a slice without suffix; a `-` in it would mean a parent slice, so there is none.
    SliceName, check_slice
}

name! {
    /// Name of an environment variable: a letter or `_`, then letters, digits, `_`.
    EnvName, check_env
}

/// Checks the name of a service or of an instance: the alphabet and the start of a [`UnitName`].
pub(super) fn check_part(name: &str) -> Result<(), NameError> {
    match name.chars().next() {
        None => Err(NameError::Empty),
        Some(first @ ('-' | '.')) => Err(NameError::Start(first)),
        Some(_) => all(name, |c| c.is_ascii_alphanumeric() || ":_.-".contains(c)),
    }
}

fn check_unit(name: &str) -> Result<(), NameError> {
    check_part(name)?;
    check_length(name)
}

fn check_slice(name: &str) -> Result<(), NameError> {
    check_part(name)?;
    all(name, |c| c != '-')?;
    if TAKEN_SLICES.contains(&name) {
        return Err(NameError::Taken);
    }
    check_length(name)
}

fn check_env(name: &str) -> Result<(), NameError> {
    match name.chars().next() {
        None => Err(NameError::Empty),
        Some(first) if first.is_ascii_digit() => Err(NameError::Start(first)),
        Some(_) => all(name, |c| c.is_ascii_alphanumeric() || c == '_'),
    }
}

fn check_length(name: &str) -> Result<(), NameError> {
    if name.len() > UNIT_MAX {
        return Err(NameError::TooLong { length: name.len(), max: UNIT_MAX });
    }
    Ok(())
}

fn all(name: &str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    name.chars().find(|&c| !allowed(c)).map_or(Ok(()), |c| Err(NameError::Char(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_need_no_escaping_anywhere() {
        for good in ["llm-8080", "a", "_x", "9", "a:b.c-d_e", &"x".repeat(200)] {
            assert_eq!(UnitName::new(good).map(String::from), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("-x", NameError::Start('-')),
            (".x", NameError::Start('.')),
            ("a/b", NameError::Char('/')),
            ("a@b", NameError::Char('@')),
            ("a\\b", NameError::Char('\\')),
            ("é", NameError::Char('é')),
            ("a\n", NameError::Char('\n')),
            (&"x".repeat(201), NameError::TooLong { length: 201, max: 200 }),
        ] {
            assert_eq!(UnitName::new(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn a_slice_has_no_parent_and_is_not_the_systems() {
        assert!(SliceName::new("rbee").is_ok());
        assert_eq!(SliceName::new("rbee-gpu"), Err(NameError::Char('-')));
        assert_eq!(SliceName::new("user"), Err(NameError::Taken));
    }

    #[test]
    fn environment_names_are_those_of_the_shell() {
        assert!(EnvName::new("_A1").is_ok());
        assert_eq!(EnvName::new("1A"), Err(NameError::Start('1')));
        assert_eq!(EnvName::new("A-B"), Err(NameError::Char('-')));
        assert_eq!(EnvName::new("A=B"), Err(NameError::Char('=')));
    }

    #[test]
    fn names_read_back_are_checked_again() {
        assert!(serde_json::from_str::<UnitName>(r#""../evil""#).is_err());
        let name = UnitName::new("llm-8080").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""llm-8080""#);
    }
}

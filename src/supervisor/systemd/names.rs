//! How systemd names a unit: with suffix, and as a D-Bus object.

/// Full name of the service unit `unit`.
pub(super) fn service(unit: &str) -> String {
    format!("{unit}.service")
}

/// Full name of the slice unit `slice`.
pub(super) fn slice(slice: &str) -> String {
    format!("{slice}.slice")
}

/// D-Bus object of the unit with this full name (`bus_label_escape` of systemd's `bus-label.c`): a letter stays, a
/// digit too unless it comes first, any other byte is `_` and two hexadecimal digits.
pub(super) fn object_path(name: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    if name.is_empty() {
        path.push('_');
    }
    for (index, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push('_');
            for nibble in [byte >> 4, byte & 15] {
                path.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::object_path;

    #[test]
    fn paths_are_those_that_systemd_makes() {
        for (name, label) in [
            ("rbee-a.slice", "rbee_2da_2eslice"),
            (r"7b@x\x20y.service", "_37b_40x_5cx20y_2eservice"),
            ("llm-8080.service", "llm_2d8080_2eservice"),
            ("", "_"),
        ] {
            assert_eq!(object_path(name), format!("/org/freedesktop/systemd1/unit/{label}"));
        }
    }
}

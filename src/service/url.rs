//! URLs of the HTTP endpoints that a service answers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An `http` or `https` URL whose host part is as the *host* of the service sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl(Url);

/// Why a text is no [`HttpUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not start with `http://` or `https://`.
    #[error("the URL does not start with http:// or https://")]
    Scheme,
    /// It holds a blank or a control character, which URL parsers drop silently.
    #[error("the URL holds {0:?}")]
    Char(char),
    /// It holds a user name or a password, and URLs are shown in plans and status.
    #[error("the URL holds a user name or a password")]
    Credentials,
    /// Its host is a mere number, most likely a port.
    #[error("the URL names no host, only the number {0}")]
    Number(String),
    /// Nothing can listen on port 0.
    #[error("port 0 cannot be connected to")]
    Port,
    /// The parser refuses it.
    #[error("the URL cannot be parsed")]
    Parse(#[from] url::ParseError),
}

impl HttpUrl {
    /// Parses and checks a URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(c) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Char(c));
        }
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| {
                text.get(..scheme.len()).filter(|s| s.eq_ignore_ascii_case(scheme)).map(|s| &text[s.len()..])
            })
            .ok_or(UrlError::Scheme)?;
        // The parser reads `http://8080/` as the address 0.0.31.144.
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
        if !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UrlError::Number(host.to_owned()));
        }
        let url = Url::parse(text)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if url.port() == Some(0) {
            return Err(UrlError::Port);
        }
        Ok(Self(url))
    }

    /// Returns the whole URL in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Tells whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the name or address to connect to; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// Returns the port to connect to: the one written, else 80 or 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Returns what is asked for: path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Tells whether only the service's own host can reach it: a loopback or unspecified address, or a `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => is_own(address.into()),
            Some(Host::Ipv6(address)) => is_own(address.into()),
            None => false,
        }
    }
}

fn is_own(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        Self::parse(&text)
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_what_a_connection_needs() {
        let parts = |text| {
            let url = HttpUrl::parse(text).unwrap();
            (url.host().to_owned(), url.port(), url.path_and_query().to_owned(), url.is_https(), url.is_loopback())
        };
        assert_eq!(
            parts("http://127.0.0.1:8080/health?x=1#y"),
            ("127.0.0.1".into(), 8080, "/health?x=1".into(), false, true)
        );
        assert_eq!(parts("HTTPS://Example.org"), ("example.org".into(), 443, "/".into(), true, false));
        assert_eq!(parts("http://[::1]/a"), ("::1".into(), 80, "/a".into(), false, true));
        assert_eq!(parts("http://[::ffff:127.0.0.1]:1/"), ("::ffff:7f00:1".into(), 1, "/".into(), false, true));
        assert!(parts("http://0.0.0.0:1/").4);
        assert!(parts("http://localhost:1/").4);
        assert!(!parts("http://notlocalhost:1/").4);
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for (bad, why) in [
            ("127.0.0.1:8080", UrlError::Scheme),
            ("unix:///run/x", UrlError::Scheme),
            ("http:/x", UrlError::Scheme),
            ("http://a b/", UrlError::Char(' ')),
            ("http://a\n/", UrlError::Char('\n')),
            ("http://me:pw@host/", UrlError::Credentials),
            ("http://8080/health", UrlError::Number("8080".into())),
            ("http://a:0/", UrlError::Port),
            ("http://a:99999/", UrlError::Parse(url::ParseError::InvalidPort)),
            ("http://", UrlError::Parse(url::ParseError::EmptyHost)),
            ("http://:8080/", UrlError::Parse(url::ParseError::EmptyHost)),
        ] {
            assert_eq!(HttpUrl::parse(bad), Err(why), "{bad:?}");
        }
    }
}

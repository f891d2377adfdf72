//! Where a server listens.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

#[cfg(test)]
mod tests;

/// The port if none is named.
const PORT: u16 = 50051;

/// The address of a server, `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
    type Err = String;

    /// Accepts `http://host:port`, `host:port` and `host`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme.to_ascii_lowercase().as_str() {
            "" | "http" => {}
            "https" => {
                return Err("the server speaks without TLS, and so does this program: write \
                     http://host:port"
                    .to_owned());
            }
            other => return Err(format!("{other} is no scheme it knows: write http://host:port")),
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|error| {
            format!("{error}: write host:port or http://host:port, for instance 127.0.0.1:{PORT}")
        })?;
        let host = uri.host().filter(|host| !host.is_empty());
        let (Some(host), "/", None) = (host, uri.path(), uri.query()) else {
            return Err(format!("write host:port and nothing more, for instance 127.0.0.1:{PORT}"));
        };
        let port = match (uri.port_u16(), scheme) {
            (Some(port), _) => port,
            (None, "") => PORT,
            (None, _) => 80,
        };
        let said = uri.authority().map_or("", Authority::as_str);
        if said != host && said != format!("{host}:{port}") {
            return Err(format!("{said} is no host:port: write for instance 127.0.0.1:{PORT}"));
        }
        Ok(Self(format!("http://{host}:{port}")))
    }
}

impl Address {
    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.strip_prefix("http://").unwrap_or(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

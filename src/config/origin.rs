//! Origins that browsers may call from.

use http::Uri;

use super::Invalid;

/// Checks that each is an origin as browsers write it: they compare letter by letter.
///
/// # Errors
/// With the first one that is none. `*` is none either: any page could then do what its reader may.
pub(super) fn validate(origins: &[String]) -> Result<(), Invalid> {
    match origins.iter().find(|origin| !is_origin(origin)) {
        None => Ok(()),
        Some(wrong) => Err(Invalid {
            setting: "cors-origin",
            given: format!("{wrong:?}"),
            allowed: "a scheme and a host in lower case, such as https://jobs.example.com, \
                      with a port if it is not the usual one"
                .to_owned(),
        }),
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port_is_said_for_nothing = authority.port_u16() == Some(usual);
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    // Nothing before the host, nothing after the port.
    is_lower
        && !port_is_said_for_nothing
        && !text.contains('@')
        && text == format!("{scheme}://{authority}")
}

#[cfg(test)]
mod tests;

//! The template of the process title. Pure; any thread. Knows names and values and not where a title is put.

#![forbid(unsafe_code)]

/// What the variables of `proc-title-template` stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TitleParts<'a> {
    /// `{title}`: the program as it was called.
    pub title: &'a str,
    /// `{listen-addr}`: the first address, or the Unix socket.
    pub listen_addr: &'a str,
    /// `{server-mode}`: empty, `[cluster]` or `[sentinel]`.
    pub server_mode: &'a str,
    /// `{port}`.
    pub port: u16,
    /// `{tls-port}`.
    pub tls_port: u16,
    /// `{unixsocket}`.
    pub unixsocket: &'a str,
    /// `{config-file}`.
    pub config_file: &'a str,
}

impl TitleParts<'_> {
    fn value(&self, variable: &str) -> Option<String> {
        Some(match variable {
            "title" => self.title.to_owned(),
            "listen-addr" => self.listen_addr.to_owned(),
            "server-mode" => self.server_mode.to_owned(),
            "port" => self.port.to_string(),
            "tls-port" => self.tls_port.to_string(),
            "unixsocket" => self.unixsocket.to_owned(),
            "config-file" => self.config_file.to_owned(),
            _ => return None,
        })
    }
}

/// The title without blanks at its end; `None` where a variable is unknown or a brace is open. Two opening braces are one
/// that is meant.
pub fn expand(template: &str, parts: &TitleParts<'_>) -> Option<String> {
    let mut title = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        title.push_str(before);
        if let Some(tail) = after.strip_prefix('{') {
            title.push('{');
            rest = tail;
            continue;
        }
        let (variable, tail) = after.split_once('}')?;
        title.push_str(&parts.value(variable)?);
        rest = tail;
    }
    title.push_str(rest);
    title.truncate(title.trim_end().len());
    Some(title)
}

/// Whether a template can be expanded to something. What it would be in this process is not known here, so each variable
/// counts but the one that is empty in most of them.
pub(super) fn is_valid(template: &[u8]) -> bool {
    let (title, listen_addr, unixsocket, config_file) = ("torc", "*:0", "-", "-");
    let parts = TitleParts { title, listen_addr, unixsocket, config_file, ..TitleParts::default() };
    let expanded = std::str::from_utf8(template).ok().and_then(|template| expand(template, &parts));
    expanded.is_some_and(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_the_end_trimmed() {
        let parts = TitleParts { title: "torc-server", listen_addr: "*:6379", port: 6379, ..TitleParts::default() };
        let title = expand("{title} {listen-addr} {server-mode}", &parts);
        assert_eq!(title.as_deref(), Some("torc-server *:6379"));
        assert_eq!(expand("x{port}/{tls-port}y", &parts).as_deref(), Some("x6379/0y"));
        assert_eq!(expand("plain", &parts).as_deref(), Some("plain"));
        assert_eq!(expand("{{title}} {{{port}", &parts).as_deref(), Some("{title}} {6379"));
    }

    #[test]
    fn bad_templates() {
        for template in ["{foo}", "{title} {foo}", "{title", "", "{}", " ", "{server-mode}", "a{", "{TITLE}"] {
            assert!(!is_valid(template.as_bytes()), "{template}");
        }
        assert!(!is_valid(b"\xff"));
        assert!(is_valid(b"{{title}}") && is_valid(b"{{"));
        assert!(is_valid(b"--my--title--"));
    }
}

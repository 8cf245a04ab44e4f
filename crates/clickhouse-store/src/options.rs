//! Where the server is and who we are to it.

/// See the module.
#[derive(Clone)]
pub struct Options {
    /// Of the HTTP interface, as `http://clickhouse:8123` or `https://…:8443`.
    pub url: String,
    /// Created when it does not exist and the user may.
    pub database: String,
    /// "default" when nothing else is set up.
    pub user: String,
    /// Empty for none.
    pub password: String,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} as {} in {}", self.url, self.user, self.database)
    }
}

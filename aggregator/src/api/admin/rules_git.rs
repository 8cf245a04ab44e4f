//! Repositories that rules come from.

use crate::{
    app::AppState,
    rules_git::{HookError, Status, verify},
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};

/// `GET /api/bellwether/v1/rules/git`
pub(crate) async fn repositories(State(app): State<AppState>) -> Json<Vec<Status>> {
    Json(app.rule_repositories().map(|repositories| repositories.status()).unwrap_or_default())
}

/// `POST /api/bellwether/v1/rules/git/{name}/hook`: looks at the repository now. No token is asked
/// for; the body is signed with the secret that the git server was given.
pub(crate) async fn hook(
    State(app): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let repositories = app.rule_repositories();
    let found = repositories.and_then(|all| all.find(&name).map(|repository| (all, repository)));
    let Some((repositories, repository)) = found else {
        return (StatusCode::NOT_FOUND, "rules come from no repository of this name\n".to_owned());
    };
    match verify(repository, &headers, &body) {
        Ok(()) => {
            repositories.look_now(&name);
            (StatusCode::ACCEPTED, String::new())
        }
        Err(error) => {
            let status =
                if error == HookError::Unsigned { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            (status, format!("{error}\n"))
        }
    }
}

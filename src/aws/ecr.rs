//! Amazon ECR: logins for registries, and creation of repositories
//! (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>, and the same of
//! `AmazonECRPublic`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Client;
use serde_json::{Value, json};

use super::{
    client::call,
    endpoint::{Endpoint, Service},
    error::AwsError,
    keys::Keys,
};
use crate::domain::{credentials::Login, ecr::EcrHost, secret::Secret};

/// The region of the public gallery's API.
pub const PUBLIC_REGION: &str = "us-east-1";

/// The API endpoint of a registry.
pub fn endpoint<'a>(host: &EcrHost, var: impl Fn(&str) -> Option<&'a str>) -> Endpoint {
    match host {
        EcrHost::Private { region, domain, fips, .. } => {
            Endpoint::new(if *fips { Service::EcrFips } else { Service::Ecr }, region, domain, var)
        }
        EcrHost::Public => Endpoint::new(Service::EcrPublic, PUBLIC_REGION, "amazonaws.com", var),
    }
}

/// Requests a login for all registries in the endpoint's region that the keys may access. It is valid for at most 12 hours.
pub async fn login(http: &Client, endpoint: &Endpoint, keys: &Keys) -> Result<Login, AwsError> {
    let answer = call(http, endpoint, keys, "GetAuthorizationToken", &json!({})).await?;
    login_in(&answer).ok_or_else(|| AwsError::Unreadable {
        call: format!("{}:GetAuthorizationToken", endpoint.service.signing_name()),
        missing: "authorizationToken",
    })
}

/// The login in an answer: private registries return a list with one item, the public gallery an object.
fn login_in(answer: &Value) -> Option<Login> {
    let data = &answer["authorizationData"];
    data[0]["authorizationToken"].as_str().or_else(|| data["authorizationToken"].as_str()).and_then(decoded)
}

/// Decodes the base64 of `AWS:password`.
fn decoded(token: &str) -> Option<Login> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Login { username: username.to_owned(), password: Secret::new(password) })
}

/// Creates a repository, unless it exists. Returns whether it was created.
pub async fn create_repository(http: &Client, endpoint: &Endpoint, keys: &Keys, path: &str) -> Result<bool, AwsError> {
    match call(http, endpoint, keys, "CreateRepository", &json!({"repositoryName": path})).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::login_in;

    #[test]
    fn a_token_is_a_login() {
        let token = json!({"authorizationToken": "QVdTOnBhc3M6d29yZA=="});
        for data in [json!([token]), token] {
            let login = login_in(&json!({"authorizationData": data})).unwrap();
            assert_eq!((login.username.as_str(), login.password.expose()), ("AWS", "pass:word"));
        }
        for bad in [json!({}), json!([]), json!({"authorizationToken": "%"}), json!({"authorizationToken": "QVdT"})] {
            assert_eq!(login_in(&json!({"authorizationData": bad})), None);
        }
    }
}

//! Logging in with public keys.

use std::{path::Path, sync::Arc};

use russh::{
    client::AuthResult,
    keys::{
        HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
    },
};

use super::{
    client::{Connection, Server, describe},
    error::SshError,
    key::KeyError,
};

/// Logs in with the first key that the server accepts: those that were given, then those of the agent. `unusable` says why
/// other keys were not tried.
pub(super) async fn log_in(
    connection: &mut Connection,
    server: &Server,
    keys: Vec<Arc<PrivateKey>>,
    unusable: &[KeyError],
) -> Result<(), SshError> {
    let mut tried = Vec::new();
    match try_all(connection, server, keys, &mut tried).await {
        Ok(true) => return Ok(()),
        // After some refusals, a server closes the connection.
        Err(SshError::Lost { .. }) if tried.len() > 1 => {}
        Err(error) => return Err(error),
        Ok(false) => {}
    }
    let key = if tried.is_empty() { "(none is given)".to_owned() } else { tried.join(", ") };
    let unusable: Vec<String> = unusable.iter().map(|error| format!("; another key was not tried: {error}")).collect();
    Err(SshError::Login { server: server.to_string(), user: server.user.clone(), key, unusable: unusable.concat() })
}

async fn try_all(
    connection: &mut Connection,
    server: &Server,
    keys: Vec<Arc<PrivateKey>>,
    tried: &mut Vec<String>,
) -> Result<bool, SshError> {
    for key in keys {
        let hash = hash_for(connection, key.public_key()).await?;
        tried.push(describe(key.public_key()));
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let answer = connection.handle.authenticate_publickey(&server.user, key).await;
        if answer.map_err(|error| connection.lost(error))?.success() {
            return Ok(true);
        }
    }
    if let Some(agent) = &server.agent {
        for key in agent_keys(server, agent).await? {
            let name = describe(&key);
            if tried.contains(&name) {
                continue;
            }
            tried.push(name);
            if with_agent(connection, server, agent, key).await?.success() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The hash of a signature with this key. Servers of today refuse signatures of RSA keys with SHA-1, and say what they
/// accept instead.
async fn hash_for(connection: &Connection, key: &PublicKey) -> Result<Option<HashAlg>, SshError> {
    if !key.algorithm().is_rsa() {
        return Ok(None);
    }
    let best = connection.handle.best_supported_rsa_hash().await.map_err(|error| connection.lost(error))?;
    Ok(best.unwrap_or(Some(HashAlg::Sha256)))
}

/// The keys that an agent holds.
async fn agent_keys(server: &Server, socket: &Path) -> Result<Vec<PublicKey>, SshError> {
    let failed = |source| SshError::Agent { server: server.to_string(), socket: socket.display().to_string(), source };
    let mut agent = AgentClient::connect_uds(socket).await.map_err(failed)?;
    let identities = agent.request_identities().await.map_err(failed)?;
    let plain = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok(plain.collect())
}

async fn with_agent(
    connection: &mut Connection,
    server: &Server,
    socket: &Path,
    key: PublicKey,
) -> Result<AuthResult, SshError> {
    let hash = hash_for(connection, &key).await?;
    let failed = |source| SshError::Agent { server: server.to_string(), socket: socket.display().to_string(), source };
    let mut agent = AgentClient::connect_uds(socket).await.map_err(failed)?;
    let answer = connection.handle.authenticate_publickey_with(&server.user, key, hash, &mut agent).await;
    answer.map_err(|error| connection.lost(error))
}

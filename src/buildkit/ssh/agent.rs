//! An SSH agent that lists its keys and signs with them, and does nothing else. Pure.

use signature::Signer as _;
use ssh_key::{HashAlg, PrivateKey, Signature, private::KeypairData};

use super::protocol::{self, Request};

/// The hash that an RSA key signs with. Without either flag it is SHA-1, which is not supported.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// Answers a request. The answer begins with its length.
pub(super) fn answer(keys: &[PrivateKey], request: &Request<'_>) -> Vec<u8> {
    let answer = match request {
        Request::List => identities(keys),
        Request::Sign { key, data, flags } => sign(keys, key, data, *flags),
    };
    answer.unwrap_or_else(protocol::failure)
}

fn identities(keys: &[PrivateKey]) -> Option<Vec<u8>> {
    let public = |key: &PrivateKey| key.public_key().to_bytes().ok();
    let listed: Option<Vec<_>> = keys.iter().map(|key| Some((public(key)?, key.comment().as_bytes()))).collect();
    protocol::identities(&listed?)
}

fn sign(keys: &[PrivateKey], public: &[u8], data: &[u8], flags: u32) -> Option<Vec<u8>> {
    let key = keys.iter().find(|key| key.public_key().to_bytes().is_ok_and(|own| own == public))?;
    Some(protocol::signed(&Vec::try_from(signature(key, data, flags)?).ok()?))
}

fn signature(key: &PrivateKey, data: &[u8], flags: u32) -> Option<Signature> {
    match key.key_data() {
        KeypairData::Rsa(pair) => {
            let hash = match flags {
                flags if flags & RSA_SHA2_512 != 0 => HashAlg::Sha512,
                flags if flags & RSA_SHA2_256 != 0 => HashAlg::Sha256,
                _ => return None,
            };
            (pair, Some(hash)).try_sign(data).ok()
        }
        _ => key.try_sign(data).ok(),
    }
}

#[cfg(test)]
mod tests {
    use ssh_key::{PrivateKey, private::Ed25519Keypair};

    use super::{Request, answer, protocol};

    #[test]
    fn lists_and_signs_with_its_own_keys_only() {
        let keys = [PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]))];
        let listed = answer(&keys, &Request::List);
        assert_eq!(listed[4..9], [12, 0, 0, 0, 1]);
        assert_eq!(Request::List.check(&listed[4..]).as_ref(), Ok(&listed));
        let key = keys[0].public_key().to_bytes().unwrap();
        let own = Request::Sign { key: &key, data: b"data", flags: 0 };
        let signed = answer(&keys, &own);
        assert_eq!(signed[4], 14);
        assert_eq!(own.check(&signed[4..]).as_ref(), Ok(&signed));
        let foreign = Request::Sign { key: b"another", data: b"data", flags: 0 };
        assert_eq!(answer(&keys, &foreign), protocol::failure());
    }
}

//! Recognizes Amazon ECR registries by their host names.

/// A registry of Amazon ECR (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EcrHost {
    /// The registry of an account in a region.
    Private {
        /// The account: 12 digits.
        account: String,
        /// The region, such as `eu-west-1`.
        region: String,
        /// The domain of the partition's endpoints: `amazonaws.com`, in China `amazonaws.com.cn`.
        domain: &'static str,
        /// Whether it is the FIPS endpoint.
        fips: bool,
    },
    /// The public gallery.
    Public,
}

/// The part of a host name after the account, and whether it is a FIPS endpoint.
const SERVICES: [(&str, bool); 4] =
    [("dkr.ecr.", false), ("dkr.ecr-fips.", true), ("dkr-ecr.", false), ("dkr-ecr-fips.", true)];
/// The part of a host name after the region, and the domain of the partition's endpoints. Credentials are sent to these
/// domains only.
const DOMAINS: [(&str, &str); 5] = [
    ("amazonaws.com", "amazonaws.com"),
    ("amazonaws.com.cn", "amazonaws.com.cn"),
    ("amazonaws.eu", "amazonaws.eu"),
    ("on.aws", "amazonaws.com"),
    ("on.amazonwebservices.com.cn", "amazonaws.com.cn"),
];

impl EcrHost {
    /// Maximum number of registries found in a text. Each one needs a login.
    pub const MOST: usize = 100;

    /// Parses a host name; `None` if it is not a registry of Amazon ECR.
    pub fn parse(host: &str) -> Option<Self> {
        if matches!(host, "public.ecr.aws" | "ecr-public.aws.com") {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        let (rest, fips) =
            SERVICES.iter().find_map(|(prefix, fips)| rest.strip_prefix(prefix).map(|rest| (rest, *fips)))?;
        let (region, domain) = rest.split_once('.')?;
        let (_, domain) = DOMAINS.iter().find(|(known, _)| *known == domain)?;
        let account_valid = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        (account_valid && is_region(region)).then(|| Self::Private {
            account: account.to_owned(),
            region: region.to_owned(),
            domain,
            fips,
        })
    }

    /// Returns the host names of private registries in a text such as a Dockerfile, without duplicates, at most
    /// [`Self::MOST`].
    pub fn private_in(text: &str) -> Vec<&str> {
        let mut hosts = Vec::new();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-') {
            if matches!(Self::parse(word), Some(Self::Private { .. })) && !hosts.contains(&word) {
                hosts.push(word);
            }
            if hosts.len() == Self::MOST {
                break;
            }
        }
        hosts
    }
}

/// Whether the text has the form of an AWS region.
pub fn is_region(text: &str) -> bool {
    text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::EcrHost;

    #[test]
    fn recognizes_hosts_of_amazon() {
        for (host, region, domain, fips) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "amazonaws.com", false),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "amazonaws.com", true),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "amazonaws.com.cn", false),
            ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "amazonaws.eu", false),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "amazonaws.com", false),
            ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "us-east-1", "amazonaws.com", true),
        ] {
            let want = EcrHost::Private { account: "123456789012".into(), region: region.into(), domain, fips };
            assert_eq!(EcrHost::parse(host), Some(want), "{host}");
        }
        assert_eq!(EcrHost::parse("public.ecr.aws"), Some(EcrHost::Public));
        for other in [
            "ghcr.io",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-west-1.evil.example",
            "123456789012.dkr.ecr.eu-west-1.on.aws.example",
            "123456789012.dkr.ecr.x@y-1.amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "x.public.ecr.aws",
        ] {
            assert_eq!(EcrHost::parse(other), None, "{other}");
        }
    }

    #[test]
    fn finds_registries_in_a_dockerfile() {
        let one = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let two = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
        let text = format!(
            "ARG BASE={two}/base\nFROM {one}/python:3 AS a\nFROM public.ecr.aws/x/y\nCOPY --from={one}/tools /a /\n"
        );
        assert_eq!(EcrHost::private_in(&text), [two, one]);
        let many: Vec<String> =
            (0..20_000).map(|i| format!("FROM {i:012}.dkr.ecr.eu-west-1.amazonaws.com/a")).collect();
        assert_eq!(EcrHost::private_in(&many.join("\n")).len(), EcrHost::MOST);
    }
}

//! The endpoints of AWS services by region. Pure.
//!
//! Hosts: <https://docs.aws.amazon.com/general/latest/gr/ecr.html> and `sts.html`. Overrides: the variables that
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html> names.

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Security Token Service.
    Sts,
    /// Elastic Container Registry.
    Ecr,
    /// Its FIPS endpoints.
    EcrFips,
    /// The public gallery.
    EcrPublic,
}

impl Service {
    /// The name of the service in signatures.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ecr | Self::EcrFips => "ecr",
            Self::EcrPublic => "ecr-public",
        }
    }

    /// The prefix of its calls in the header `X-Amz-Target`.
    pub fn target(self) -> &'static str {
        match self {
            Self::Sts => "",
            Self::Ecr | Self::EcrFips => "AmazonEC2ContainerRegistry_V20150921",
            Self::EcrPublic => "SpencerFrontendService",
        }
    }

    fn host(self, region: &str) -> String {
        match self {
            Self::Sts => format!("sts.{region}"),
            Self::Ecr => format!("api.ecr.{region}"),
            Self::EcrFips => format!("ecr-fips.{region}"),
            Self::EcrPublic => format!("api.ecr-public.{region}"),
        }
    }

    /// The variable that overrides the endpoint of this service.
    fn variable(self) -> &'static str {
        match self {
            Self::Sts => "AWS_ENDPOINT_URL_STS",
            Self::Ecr | Self::EcrFips => "AWS_ENDPOINT_URL_ECR",
            Self::EcrPublic => "AWS_ENDPOINT_URL_ECR_PUBLIC",
        }
    }
}

/// A service in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The service.
    pub service: Service,
    /// The region.
    pub region: String,
    /// The URL.
    pub url: String,
}

impl Endpoint {
    /// The endpoint in the `domain` of a partition, unless `AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_…` overrides it.
    pub fn new<'a>(service: Service, region: &str, domain: &str, var: impl Fn(&str) -> Option<&'a str>) -> Self {
        let given = var(service.variable()).or_else(|| var("AWS_ENDPOINT_URL"));
        let host = || format!("https://{}.{domain}", service.host(region));
        let base = given.map_or_else(host, |url| url.trim_end_matches('/').to_owned());
        Self { service, region: region.to_owned(), url: format!("{base}/") }
    }

    /// The host, for messages.
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Service};

    #[test]
    fn is_in_the_partition_unless_overridden() {
        let none = |_: &str| None;
        let china = Endpoint::new(Service::Ecr, "cn-north-1", "amazonaws.com.cn", none);
        assert_eq!(
            (china.url.as_str(), china.host()),
            ("https://api.ecr.cn-north-1.amazonaws.com.cn/", "api.ecr.cn-north-1.amazonaws.com.cn")
        );
        let sts = |name: &str| (name == "AWS_ENDPOINT_URL_STS").then_some("http://127.0.0.1:1/");
        let all = |name: &str| (name == "AWS_ENDPOINT_URL").then_some("http://127.0.0.1:2");
        let url = |service, var: &dyn Fn(&str) -> Option<&'static str>| {
            Endpoint::new(service, "eu-west-1", "amazonaws.com", var).url
        };
        assert_eq!(url(Service::Sts, &sts), "http://127.0.0.1:1/");
        assert_eq!(url(Service::EcrFips, &sts), "https://ecr-fips.eu-west-1.amazonaws.com/");
        assert_eq!(url(Service::EcrPublic, &all), "http://127.0.0.1:2/");
    }
}

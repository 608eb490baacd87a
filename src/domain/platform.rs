//! Platforms of images and builders: `os/architecture[/variant]`.

/// Normalizes a platform like containerd's `platforms.Normalize`: `linux/arm64/v8` becomes `linux/arm64`, `linux/arm`
/// becomes `linux/arm/v7`.
pub fn normal(platform: &str) -> String {
    let mut parts = platform.split('/');
    let os = parts.next().unwrap_or_default();
    let architecture = match parts.next().unwrap_or_default() {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    };
    let variant = match (architecture, parts.next().unwrap_or_default()) {
        ("arm64", "8" | "v8") | ("amd64", "v1") => "",
        ("arm", "" | "7") => "v7",
        (_, other) => other,
    };
    if variant.is_empty() { format!("{os}/{architecture}") } else { format!("{os}/{architecture}/{variant}") }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn platforms_have_one_spelling() {
        for (text, want) in [
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
        ] {
            assert_eq!(normal(text), want);
        }
    }
}

//! Output rate of one exchange.

/// Tokens per second: `(tokens − 1) ÷ decode`, because the first token ends
/// TTFT and only the others are timed by decode. `None` with fewer than two
/// tokens or no decode time.
#[must_use]
pub fn token_rate(output_tokens: u64, decode_ns: u64) -> Option<f64> {
    let timed = output_tokens.checked_sub(1).filter(|timed| *timed > 0)?;
    (decode_ns > 0).then(|| timed as f64 * 1e9 / decode_ns as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_token_is_not_timed() {
        assert_eq!(token_rate(101, 1_000_000_000), Some(100.0));
        assert_eq!(token_rate(1, 1_000_000_000), None);
        assert_eq!(token_rate(0, 1), None);
        assert_eq!(token_rate(50, 0), None);
    }

    proptest! {
        #[test]
        fn finite_and_positive(tokens in any::<u64>(), decode in any::<u64>()) {
            if let Some(rate) = token_rate(tokens, decode) {
                prop_assert!(rate.is_finite() && rate > 0.0);
            }
        }
    }
}

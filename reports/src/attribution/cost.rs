//! What a trial's tokens cost.

use timeslip_datasets::run::journal::Exchange;
use timeslip_datasets::run::plan::Price;

/// What the tokens of some exchanges cost. One that completed without saying how many
/// tokens it used, or that contradicts itself, makes the sum unknown.
pub(crate) fn cost_usd(price: &Price, exchanges: &[Exchange]) -> Option<f64> {
    let mut total = 0.0;
    for exchange in exchanges {
        let Some(usage) = exchange.usage else {
            exchange.error.as_ref()?;
            continue;
        };
        total += price.of(&usage)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::journal::Usage;

    #[test]
    fn a_cost_is_the_sum_of_its_tokens_or_unknown() {
        let mut price = Price {
            input: 2.0,
            cached_input: Some(0.5),
            output: 10.0,
            priced_at: "2026".into(),
        };
        let used = Exchange {
            usage: Some(Usage {
                input_tokens: 1_000_000,
                cached_tokens: Some(400_000),
                output_tokens: 100_000,
                reasoning_tokens: None,
                missing: None,
            }),
            ..Exchange::default()
        };
        let refused = Exchange {
            error: Some("refused".into()),
            ..Exchange::default()
        };
        let cost = cost_usd(&price, &[used.clone(), refused]).unwrap();
        assert!((cost - (1.2 + 0.2 + 1.0)).abs() < 1e-12, "{cost}");
        assert_eq!(cost_usd(&price, &[used.clone(), Exchange::default()]), None);
        let mut contradicted = used.clone();
        contradicted.usage.as_mut().unwrap().cached_tokens = Some(1_000_001);
        assert_eq!(cost_usd(&price, &[contradicted]), None);
        price.cached_input = None;
        assert_eq!(cost_usd(&price, &[used]), None);
    }
}

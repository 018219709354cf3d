//! The banker's algorithm (`02-threads/src/banker.rs`, used by 013_3_bankers_algorithm) against
//! what it promises, on random bankers, customers and requests.

use proptest::prelude::*;
use threads::banker::{Amounts, Banker, Denied};

const KINDS: usize = 3;

/// A total, limits within it, and what is then asked for (customer, amounts) or given back.
#[derive(Clone, Debug)]
struct Story {
    total: Amounts<KINDS>,
    limits: Vec<Amounts<KINDS>>,
    steps: Vec<(bool, usize, Amounts<KINDS>)>,
}

fn story() -> impl Strategy<Value = Story> {
    let amounts = |most: u32| prop::array::uniform3(0..=most);
    (amounts(9), prop::collection::vec(amounts(9), 1..6)).prop_flat_map(move |(total, limits)| {
        let limits: Vec<Amounts<KINDS>> =
            limits.iter().map(|limit| std::array::from_fn(|i| limit[i].min(total[i]))).collect();
        let step = (prop::bool::weighted(0.8), 0..limits.len(), amounts(4));
        prop::collection::vec(step, 0..60).prop_map(move |steps| Story {
            total,
            limits: limits.clone(),
            steps,
        })
    })
}

/// All orders that exist, tried one by one: a safe one among them?
fn some_order_is_safe(banker: &Banker<KINDS>, available: Amounts<KINDS>, left: &[usize]) -> bool {
    left.is_empty()
        || left.iter().any(|&customer| {
            let can_finish = (0..KINDS).all(|i| banker.need(customer)[i] <= available[i]);
            let back = std::array::from_fn(|i| available[i] + banker.held(customer)[i]);
            let others: Vec<_> = left.iter().copied().filter(|c| *c != customer).collect();
            can_finish && some_order_is_safe(banker, back, &others)
        })
}

/// Plays `sequence` through with the banker itself: each takes all it may, finishes, gives all
/// back.
fn really_finishes(banker: &Banker<KINDS>, sequence: &[usize]) -> bool {
    let mut banker = banker.clone();
    sequence.iter().all(|&customer| {
        let need = banker.need(customer);
        let granted = banker.request(customer, need) == Ok(());
        banker.give_back(customer, banker.held(customer));
        granted
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_is_granted_is_safe_and_what_is_denied_is_not(story in story()) {
        let mut banker = Banker::new(story.total, &story.limits);
        let everybody: Vec<usize> = (0..story.limits.len()).collect();
        for (asks, customer, amounts) in story.steps {
            let before = banker.clone();
            if !asks {
                let held = banker.held(customer);
                banker.give_back(customer, std::array::from_fn(|i| amounts[i].min(held[i])));
            } else {
                let need = before.need(customer);
                let fits = |most: Amounts<KINDS>| (0..KINDS).all(|i| amounts[i] <= most[i]);
                let answer = banker.request(customer, amounts);
                if answer.is_err() {
                    prop_assert_eq!(&banker, &before, "nothing has changed");
                }
                prop_assert_eq!(answer == Err(Denied::OverLimit), !fits(need));
                if fits(need) {
                    let available = before.available();
                    prop_assert_eq!(answer == Err(Denied::NotAvailable), !fits(available));
                }
                if answer == Err(Denied::Unsafe) {
                    // Whoever grants it all the same has no order left.
                    let left = std::array::from_fn(|i| before.available()[i] - amounts[i]);
                    let granted = grant_blindly(&before, &story.limits, customer, amounts);
                    prop_assert!(!some_order_is_safe(&granted, left, &everybody));
                }
            }
            let sequence = banker.safe_sequence();
            prop_assert!(sequence.is_some(), "every state it reaches is safe");
            let sequence = sequence.unwrap();
            let mut sorted = sequence.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&sorted, &everybody, "everybody finishes, once");
            prop_assert!(really_finishes(&banker, &sequence));
            let lent: Amounts<KINDS> = std::array::from_fn(|i| everybody.iter().map(|c| banker.held(*c)[i]).sum());
            prop_assert_eq!(std::array::from_fn::<_, KINDS, _>(|i| lent[i] + banker.available()[i]), story.total);
        }
    }
}

/// The state after `amounts` were given to `customer` without asking whether that is safe: reached
/// by a banker who owns so much more that nothing is unsafe. Only what is held and needed is looked
/// at.
fn grant_blindly(
    banker: &Banker<KINDS>,
    limits: &[Amounts<KINDS>],
    customer: usize,
    amounts: Amounts<KINDS>,
) -> Banker<KINDS> {
    let mut rich = Banker::new([u32::MAX; KINDS], limits);
    for other in 0..limits.len() {
        rich.request(other, banker.held(other))
            .expect("a rich banker grants all within the limits");
    }
    rich.request(customer, amounts).expect("likewise");
    rich
}

#[test]
fn a_limit_over_the_total_is_refused() {
    assert!(std::panic::catch_unwind(|| Banker::new([1], &[[2]])).is_err());
}

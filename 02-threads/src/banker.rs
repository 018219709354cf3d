//! The banker's algorithm: grant a request only if everybody can still finish afterwards.
//!
//! For one currency by Edsger W. Dijkstra, "Een algorithme ter voorkoming van de dodelijke
//! omarming" (EWD 108, 1965); for several by A. N. Habermann, "Prevention of System
//! Deadlocks" (Communications of the ACM 12:7, 1969).

use std::fmt;

/// So much of each of `R` kinds of resource.
pub type Amounts<const R: usize> = [u32; R];

/// A banker who lends `R` kinds of resource to customers that each named their limit beforehand.
///
/// ```
/// use threads::banker::{Banker, Denied};
///
/// let mut banker = Banker::new([10], &[[8], [6]]);
/// banker.request(0, [5])?;
/// banker.request(1, [2])?;
/// // Three are left: enough for customer 0 to finish. With one of them gone, enough for nobody.
/// assert_eq!(banker.request(1, [1]), Err(Denied::Unsafe));
/// assert_eq!(banker.safe_sequence(), Some(vec![0, 1]));
/// # Ok::<(), Denied>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banker<const R: usize> {
    available: Amounts<R>,
    customers: Vec<Customer<R>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Customer<const R: usize> {
    limit: Amounts<R>,
    held: Amounts<R>,
}

/// Why a request was not granted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The customer asks for more than the limit it named. It never will be granted.
    OverLimit,
    /// There is not so much left. It may be granted when others have given back.
    NotAvailable,
    /// There is, but afterwards there might be no order in which all can finish. It may be
    /// granted when others have given back.
    Unsafe,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Denied::OverLimit => "over the limit it named",
            Denied::NotAvailable => "not so much is left",
            Denied::Unsafe => "no safe sequence would remain",
        })
    }
}

impl std::error::Error for Denied {}

impl<const R: usize> Banker<R> {
    /// A banker who owns `total` and has one customer for each of `limits`: the most it
    /// will ever hold at once.
    ///
    /// # Panics
    ///
    /// If a limit is over the total: that customer could never finish.
    pub fn new(total: Amounts<R>, limits: &[Amounts<R>]) -> Banker<R> {
        assert!(limits.iter().all(|limit| fits(limit, &total)), "a limit is over the total");
        let customers = limits.iter().map(|&limit| Customer { limit, held: [0; R] }).collect();
        Banker { available: total, customers }
    }

    /// What nobody holds.
    pub fn available(&self) -> Amounts<R> {
        self.available
    }

    /// What `customer` holds.
    ///
    /// # Panics
    ///
    /// If there is no such customer; they are numbered from 0.
    pub fn held(&self, customer: usize) -> Amounts<R> {
        self.customers[customer].held
    }

    /// What `customer` may still ask for.
    ///
    /// # Panics
    ///
    /// If there is no such customer.
    pub fn need(&self, customer: usize) -> Amounts<R> {
        self.customers[customer].need()
    }

    /// Grants `amounts` to `customer`, if everybody can still finish afterwards.
    ///
    /// # Errors
    ///
    /// Why not, otherwise; and nothing has changed.
    ///
    /// # Panics
    ///
    /// If there is no such customer.
    pub fn request(&mut self, customer: usize, amounts: Amounts<R>) -> Result<(), Denied> {
        if !fits(&amounts, &self.need(customer)) {
            return Err(Denied::OverLimit);
        }
        if !fits(&amounts, &self.available) {
            return Err(Denied::NotAvailable);
        }
        let mut granted = self.clone();
        granted.available = minus(&self.available, &amounts);
        granted.customers[customer].held = plus(&self.held(customer), &amounts);
        granted.safe_sequence().ok_or(Denied::Unsafe)?;
        *self = granted;
        Ok(())
    }

    /// Takes `amounts` back from `customer`.
    ///
    /// # Panics
    ///
    /// If it does not hold so much, or there is no such customer.
    pub fn give_back(&mut self, customer: usize, amounts: Amounts<R>) {
        assert!(fits(&amounts, &self.held(customer)), "more is given back than is held");
        self.customers[customer].held = minus(&self.held(customer), &amounts);
        self.available = plus(&self.available, &amounts);
    }

    /// An order in which each customer can get all it may still ask for, finish, and give
    /// everything back; or `None`, if there is none. Takes time in the square of their number.
    pub fn safe_sequence(&self) -> Option<Vec<usize>> {
        let mut available = self.available;
        let mut waiting: Vec<usize> = (0..self.customers.len()).collect();
        let mut sequence = Vec::new();
        // Whoever can finish now can finish first: what it gives back only helps the others.
        loop {
            let before = sequence.len();
            waiting.retain(|&i| {
                let can_finish = fits(&self.need(i), &available);
                if can_finish {
                    available = plus(&available, &self.held(i));
                    sequence.push(i);
                }
                !can_finish
            });
            if waiting.is_empty() {
                return Some(sequence);
            }
            if sequence.len() == before {
                return None;
            }
        }
    }
}

impl<const R: usize> Customer<R> {
    fn need(&self) -> Amounts<R> {
        minus(&self.limit, &self.held)
    }
}

fn fits<const R: usize>(small: &Amounts<R>, large: &Amounts<R>) -> bool {
    small.iter().zip(large).all(|(s, l)| s <= l)
}

fn plus<const R: usize>(a: &Amounts<R>, b: &Amounts<R>) -> Amounts<R> {
    std::array::from_fn(|i| a[i] + b[i])
}

fn minus<const R: usize>(a: &Amounts<R>, b: &Amounts<R>) -> Amounts<R> {
    std::array::from_fn(|i| a[i] - b[i])
}

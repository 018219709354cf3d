//! What a `map` makes of its results.

use crate::pool::error::TaskError;

/// Takes results in the order of their tasks.
pub(in crate::pool) trait Consumer<T> {
    /// Takes the next result. Returns whether it wants more.
    fn take(&mut self, result: Result<T, TaskError>) -> bool;

    /// The same with results from `decode`, while it returns some. (Overridden where a call for
    /// each would cost more than to decode it.)
    fn take_all(&mut self, mut decode: impl FnMut() -> Option<Result<T, TaskError>>) -> bool {
        while let Some(result) = decode() {
            if !self.take(result) {
                return false;
            }
        }
        true
    }
}

/// All values, up to the first error: for `map`.
pub(in crate::pool) struct Values<T> {
    values: Vec<T>,
    first_error: Option<TaskError>,
}

impl<T> Values<T> {
    pub(in crate::pool) fn new() -> Self {
        Self { values: Vec::new(), first_error: None }
    }

    /// The values, or the first error.
    pub(in crate::pool) fn into_result(self) -> Result<Vec<T>, TaskError> {
        self.first_error.map_or(Ok(self.values), Err)
    }
}

impl<T> Consumer<T> for Values<T> {
    fn take(&mut self, result: Result<T, TaskError>) -> bool {
        match result {
            Ok(value) => self.values.push(value),
            Err(error) => self.first_error = Some(error),
        }
        self.first_error.is_none()
    }

    fn take_all(&mut self, mut decode: impl FnMut() -> Option<Result<T, TaskError>>) -> bool {
        let Self { values, first_error } = self;
        let error = &mut *first_error;
        values.extend(std::iter::from_fn(|| match decode()? {
            Ok(value) => Some(value),
            Err(failed) => {
                *error = Some(failed);
                None
            }
        }));
        first_error.is_none()
    }
}

/// A value or an error for each: for `map_each`.
impl<T> Consumer<T> for Vec<Result<T, TaskError>> {
    fn take(&mut self, result: Result<T, TaskError>) -> bool {
        self.push(result);
        true
    }
}

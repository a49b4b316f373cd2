//! A first-in first-out list whose clone costs one pointer.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Entries of a page: what the first push after a clone copies.
const PAGE: usize = 64;

/// A first-in first-out list.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    pages: Arc<VecDeque<Arc<Vec<T>>>>,
    /// Entries of the first page that have left.
    gone: usize,
    len: usize,
}

impl<T: Clone> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            pages: Arc::new(VecDeque::new()),
            gone: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.pages.front()?.get(self.gone)
    }

    pub(crate) fn push(&mut self, value: T) {
        let pages = Arc::make_mut(&mut self.pages);
        match pages.back_mut() {
            Some(page) if page.len() < PAGE => Arc::make_mut(page).push(value),
            Some(_) | None => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(value);
                pages.push_back(Arc::new(page));
            }
        }
        self.len = self.len.saturating_add(1);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.front()?.clone();
        self.gone = self.gone.saturating_add(1);
        self.len = self.len.saturating_sub(1);
        if self.pages.front().is_some_and(|page| self.gone >= page.len()) {
            Arc::make_mut(&mut self.pages).pop_front();
            self.gone = 0;
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter()).skip(self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_across_pages() {
        let mut queue = Queue::new();
        for value in 0..1_000 {
            queue.push(value);
        }
        let held = queue.clone();
        for value in 0..700 {
            assert_eq!(queue.pop(), Some(value));
        }
        assert_eq!((queue.len(), queue.front()), (300, Some(&700)));
        queue.push(1_000);
        assert_eq!(
            queue.iter().copied().collect::<Vec<_>>(),
            (700..=1_000).collect::<Vec<_>>()
        );
        assert_eq!(held.len(), 1_000);
        while queue.pop().is_some() {}
        assert_eq!((queue.len(), queue.front()), (0, None));
        queue.push(7);
        assert_eq!(queue.pop(), Some(7));
    }
}

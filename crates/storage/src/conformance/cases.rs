//! The list of all cases, by contract and file. A test of this file finds functions that are not listed.

/// One named test per case of the [`MetaStore`](crate::MetaStore) contract, for a
/// [`MetaHarness`](crate::conformance::MetaHarness). Attributes before the type go onto every test.
#[macro_export]
macro_rules! meta_conformance {
    ($(#[$attribute:meta])* $harness:ty) => {
        $crate::__meta_cases! { tests [run_meta meta [$(#[$attribute])*] $harness] }
    };
}

/// One named test per case of the [`BlobStore`](crate::BlobStore) contract, for a
/// [`BlobHarness`](crate::conformance::BlobHarness). Attributes before the type go onto every test.
#[macro_export]
macro_rules! blob_conformance {
    ($(#[$attribute:meta])* $harness:ty) => {
        $crate::__blob_cases! { tests [run_blob blob [$(#[$attribute])*] $harness] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __meta_cases {
    ($mode:ident $arguments:tt) => {
        $crate::__expand_cases! { $mode $arguments
            get {
                absent_key_has_no_value
                a_value_reads_back
            }
            scan {
                entries_come_in_unsigned_byte_order
                reverse_is_descending
                a_limit_of_zero_is_invalid
            }
            commit {
                a_batch_is_applied_whole
                require_absent_fails_on_a_present_key
                a_failed_precondition_changes_nothing
                a_later_write_of_the_batch_wins
            }
            reopen {
                durable_commits_survive_a_reopen
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __blob_cases {
    ($mode:ident $arguments:tt) => {
        $crate::__expand_cases! { $mode $arguments
            put {
                bytes_read_back_as_they_were_put
                an_empty_blob_reads_back
                the_same_bytes_twice_are_one_blob
            }
            get {
                ranges_give_exactly_their_bytes
                an_unknown_hash_is_not_found
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expand_cases {
    (names [] $($file:ident { $($case:ident)* })*) => {
        &[$($(concat!(stringify!($file), "::", stringify!($case))),*),*]
    };
    (tests [$run:ident $contract:ident $attributes:tt $harness:ty] $($file:ident { $($case:ident)* })*) => {
        $($($crate::__conformance_test! { $attributes $run $harness, $contract $file $case })*)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ([$($attribute:tt)*] $run:ident $harness:ty, $contract:ident $file:ident $case:ident) => {
        #[test]
        $($attribute)*
        fn $case() {
            $crate::conformance::$run::<$harness>($crate::conformance::$contract::$file::$case);
        }
    };
}

/// The cases of [`meta_conformance!`](crate::meta_conformance), as `file::case`.
pub const META_CASES: &[&str] = __meta_cases! { names [] };

/// The cases of [`blob_conformance!`](crate::blob_conformance), as `file::case`.
pub const BLOB_CASES: &[&str] = __blob_cases! { names [] };

/// How many cases the two contracts have: (`MetaStore`, `BlobStore`).
pub const fn conformance_count() -> (usize, usize) {
    (META_CASES.len(), BLOB_CASES.len())
}

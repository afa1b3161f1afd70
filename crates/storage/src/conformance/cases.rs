//! The list of all cases, by contract and file. A test of this file finds functions that are not
//! listed.

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
                a_fresh_store_is_ready_and_empty
                absent_key_has_no_value
                a_value_reads_back
                any_byte_is_kept
                an_empty_value_is_not_an_absent_one
                a_put_replaces_the_value
                a_deleted_key_has_no_value
                many_values_come_in_the_order_of_their_keys
                the_same_key_in_two_accounts_names_two_values
                a_key_outside_the_limits_cannot_be_asked_for
                a_commit_is_seen_by_every_later_read
            }
            scan {
                entries_come_in_unsigned_byte_order
                reverse_is_descending
                entries_carry_their_values
                start_is_included_and_end_is_not
                without_an_end_a_scan_goes_to_the_last_key
                an_empty_range_gives_an_empty_page
                a_limit_of_zero_is_invalid
                the_limit_and_more_are_exact
                the_largest_limit_is_taken
                a_prefix_gives_its_keys_only
                a_prefix_that_ends_in_0xff_is_exact
                bounds_may_be_longer_than_keys
                pages_make_up_the_range
                runs_of_0xff_are_passed_in_both_directions
                a_scan_stays_in_its_account
            }
            commit {
                a_batch_is_applied_whole
                a_large_batch_is_applied_whole
                an_empty_batch_changes_nothing
                a_batch_of_preconditions_alone_is_a_check
                require_absent_holds_on_an_absent_key
                require_absent_fails_on_a_present_key
                require_holds_on_the_same_value
                require_fails_on_another_value
                require_fails_on_an_absent_key
                preconditions_see_the_state_before_the_batch
                every_precondition_must_hold
                preconditions_look_at_their_own_account
                a_failed_precondition_changes_nothing
                a_conflict_can_be_retried
                a_later_write_of_the_batch_wins
                deleting_an_absent_key_succeeds
            }
            limits {
                keys_of_all_lengths_are_taken
                the_largest_value_is_taken
                an_empty_key_is_invalid
                a_key_that_is_too_long_is_invalid
                a_value_that_is_too_large_is_invalid
                the_largest_batch_is_taken
                a_batch_that_is_too_large_is_invalid
                limits_count_before_preconditions
            }
            links {
                a_link_row_is_found
                a_link_added_twice_is_one_row
                an_unlinked_row_is_gone
                unlinking_what_is_not_there_succeeds
                rows_come_in_order_of_account_and_email
                the_limit_bounds_the_rows
                blobs_have_rows_of_their_own
                an_account_unlinks_only_its_own_row
                the_later_of_link_and_unlink_wins
                links_and_writes_are_one_batch
                a_failed_precondition_links_nothing
                link_rows_are_no_keys
                link_rows_survive_a_reopen
            }
            accounts {
                accounts_with_keys_are_listed_ascending
                after_is_exclusive_and_the_limit_bounds
                an_account_without_keys_is_not_listed
                what_stores_no_key_makes_no_account
                thousands_of_accounts_are_paged
            }
            watch {
                a_commit_ticks_a_waiting_watch
                a_commit_right_after_the_call_ticks
                every_commit_after_a_tick_ticks_again
                deletes_and_links_tick_too
                every_watch_of_an_account_ticks
                many_accounts_are_watched_apart
                a_burst_of_commits_loses_no_last_tick
                what_was_committed_is_visible_at_the_tick
                ticks_end_with_the_store
                a_watch_of_the_reopened_store_ticks
            }
            durable {
                durable_resolves
                durable_resolves_for_many_waiters
                handles_may_be_awaited_in_any_order
                a_handle_may_be_awaited_late
                a_handle_resolves_after_the_close
                a_dropped_handle_undoes_nothing
                a_dropped_commit_becomes_durable_by_itself
                durable_covers_every_earlier_commit
                a_durable_check_covers_what_it_saw
            }
            reopen {
                durable_commits_survive_a_reopen
                close_makes_everything_durable
                an_unused_store_reopens_empty
                deleted_and_replaced_stay_so
                every_generation_of_writes_survives
                preconditions_hold_across_a_reopen
                a_closed_store_answers_unavailable
                closing_twice_succeeds
                what_runs_while_closing_is_whole_or_refused
                generation_stays_over_a_clean_close
                generation_never_falls
                durable_commits_survive_a_crash
                a_crash_leaves_whole_commits_in_order
                nothing_comes_back_after_a_crash
            }
            races {
                of_two_on_an_absent_key_one_wins
                of_many_on_an_equal_value_one_wins
                of_two_that_exclude_each_other_one_wins
                racing_increments_lose_nothing
                racing_journals_have_no_gap
                writers_of_own_keys_lose_nothing
                acknowledged_writers_survive_a_crash
                racing_links_are_all_there
                readers_beside_writers_see_whole_values
            }
            model {
                random_operations_agree_with_a_model
                random_durable_operations_survive_crashes
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
                a_fresh_store_is_empty
                bytes_read_back_as_they_were_put
                an_empty_blob_reads_back
                the_hash_is_blake3_of_the_bytes
                any_byte_is_kept
                similar_blobs_stay_apart
                the_same_bytes_twice_are_one_blob
                the_same_bytes_at_once_are_one_blob
                a_put_is_visible_to_every_task
                a_big_blob_reads_back
                thousands_of_small_blobs_read_back
                any_origin_is_taken
                stat_gives_the_current_reference
                over_4_gib_is_invalid
            }
            get {
                ranges_give_exactly_their_bytes
                random_ranges_agree
                a_range_out_of_bounds_is_invalid
                an_empty_range_gives_no_bytes
                an_unknown_hash_is_not_found
                a_wrong_hash_never_gives_other_bytes
                a_stale_hint_still_reads
                many_come_in_the_order_asked_for
                many_fail_one_by_one
                none_asked_for_gives_none
                verify_accepts_what_was_put
                readers_beside_writers_see_whole_blobs
            }
            collect {
                releasing_what_is_not_there_succeeds
                a_released_blob_is_collected
                what_is_not_released_is_kept
                collecting_leaves_the_neighbours
                many_tell_the_collected_from_the_kept
                a_put_after_the_release_keeps_the_blob
                a_put_after_a_reopen_keeps_the_blob
                a_clean_close_keeps_a_release
                a_release_after_the_last_put_counts
                a_collected_blob_can_be_put_again
                an_empty_blob_is_collected_too
                a_released_blob_reads_until_it_is_collected
                puts_win_against_the_collector
            }
            damage {
                a_damaged_blob_is_corrupt
                damage_stays_in_its_blob
                a_range_of_a_damaged_blob_is_sound_or_corrupt
            }
            reopen {
                references_from_before_a_reopen_read
                an_unused_store_reopens_empty
                a_put_is_on_stable_storage
                puts_at_once_are_all_on_stable_storage
                a_second_put_of_the_same_bytes_is_durable_too
                a_closed_store_answers_unavailable
                closing_twice_succeeds
            }
            model {
                random_operations_agree_with_a_model
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
    (sources [$directory:literal] $($file:ident { $($case:ident)* })*) => {
        [$((
            include_str!(concat!($directory, "/", stringify!($file), ".rs")),
            &[$(stringify!($case)),*][..],
        )),*]
    };
    (
        tests [$run:ident $contract:ident $attributes:tt $harness:ty]
        $($file:ident { $($case:ident)* })*
    ) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A case that is written but not listed would never run.
    #[test]
    fn every_case_is_listed_once() {
        let meta = __meta_cases! { sources ["meta"] };
        let blob = __blob_cases! { sources ["blob"] };
        for (source, listed) in meta.into_iter().chain(blob) {
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split('<').next())
                .collect();
            assert_eq!(written, listed);
        }
        let modules = [include_str!("meta/mod.rs"), include_str!("blob/mod.rs")].concat();
        let files = modules.lines().filter(|line| line.starts_with("pub mod"));
        assert_eq!(
            files.count(),
            meta.len() + blob.len(),
            "every file is listed"
        );
    }

    #[test]
    fn the_suite_is_as_large_as_promised() {
        let (meta, blob) = conformance_count();
        assert!(meta >= 40 && blob >= 20, "{meta} + {blob} cases");
    }
}

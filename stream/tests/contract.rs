//! The cases of the contract; each module of an implementation runs all of them.

pub(crate) mod groups;
pub(crate) mod reading;
pub(crate) mod rebalance;
pub(crate) mod transactions;

/// Runs every case on a fixture that `$fixture` makes.
#[macro_export]
macro_rules! contract {
    ($fixture:expr) => {
        $crate::contract!(@ $fixture;
            reading { records_of_a_partition_keep_their_order, keys_choose_the_partition_that_java_clients_choose, a_start_is_an_offset_a_time_or_an_end,
                large_empty_and_missing_values_come_back_as_they_were, headers_come_back_in_order, a_reader_waits_for_what_is_committed_next,
                ends_are_reached_by_readers, what_is_published_stands_at_once, unknown_topics_and_partitions_are_refused,
                a_topic_keeps_its_number_of_partitions, compaction_keeps_the_newest_record_of_each_key }
            transactions { outputs_and_offsets_take_effect_together, an_aborted_transaction_leaves_nothing, open_transactions_are_invisible_to_running_readers_and_members,
                a_newer_producer_fences_the_older, a_new_producer_aborts_what_the_older_left_open, a_failed_commit_can_be_aborted_and_repeated }
            groups { partitions_of_the_same_number_meet_in_one_member, a_stale_member_cannot_commit, a_member_resumes_where_the_group_committed,
                one_member_owns_everything_and_the_next_takes_over, a_member_may_move_its_position, a_member_that_writes_nothing_commits_alone,
                uncommitted_records_come_again_after_a_revoke }
            rebalance { members_come_and_go_and_every_input_has_one_output }
        );
    };
    (@ $fixture:expr; $($module:ident { $($case:ident),* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$module::$case($fixture.await).await;
            }
        )*)*
    };
}

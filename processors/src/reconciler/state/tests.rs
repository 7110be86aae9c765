//! What is kept comes back as it was.

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn word() -> impl Strategy<Value = String> {
    "[a-z]{0,6}|.{0,3}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (any::<i64>(), 0u32..20).prop_map(|(digits, scale)| Value::Decimal(Decimal::new(digits, scale))),
        word().prop_map(Value::Text),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Timestamp),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| proptest::collection::vec(inner, 0..3).prop_map(Value::List))
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Crm), Just(Side::Erp)]
}

fn write_number() -> impl Strategy<Value = WriteNumber> {
    any::<u64>().prop_map(WriteNumber)
}

fn conflict_number() -> impl Strategy<Value = ConflictNumber> {
    any::<u64>().prop_map(ConflictNumber)
}

fn pair<T: std::fmt::Debug + Clone>(of: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = Pair<T>> {
    (of.clone(), of).prop_map(|(crm, erp)| Pair { crm, erp })
}

fn values() -> impl Strategy<Value = BTreeMap<String, Value>> + Clone {
    btree_map(word(), value(), 0..3).boxed()
}

fn seen() -> impl Strategy<Value = Seen> + Clone {
    (value(), any::<i64>(), option::of(word())).prop_map(|(value, at, actor)| Seen { value, at, actor }).boxed()
}

fn flight() -> impl Strategy<Value = InFlight> {
    (
        write_number(),
        side(),
        value(),
        value(),
        value(),
        any::<bool>(),
        option::of(conflict_number()),
        option::of(seen()),
        any::<bool>(),
        option::of(value()),
        option::of(value()),
    )
        .prop_map(|(write, target, value, source, expected, answered, conflict, between, passed, told, sealed)| InFlight {
            write,
            target,
            value,
            source,
            expected,
            answered,
            conflict,
            between,
            passed,
            told,
            sealed,
        })
}

fn failure() -> impl Strategy<Value = Failure> {
    (side(), word(), any::<i64>(), pair(value().boxed())).prop_map(|(target, reason, at, values)| Failure { target, reason, at, values })
}

fn unseen() -> impl Strategy<Value = Unseen> {
    (write_number(), side(), value(), seen(), seen(), (pair(value().boxed()), value()), (any::<bool>(), any::<bool>(), any::<bool>()))
        .prop_map(|(write, target, value, source, instead, (base, expected), (makes, done, orphan))| Unseen {
            write,
            target,
            value,
            source,
            instead,
            base,
            expected,
            makes,
            done,
            orphan,
        })
}

fn resolution() -> impl Strategy<Value = Resolution> {
    let shown = pair(option::of(value()).boxed());
    (conflict_number(), pair(value().boxed()), option::of(word()), any::<i64>(), pair(value().boxed()), shown, any::<bool>())
        .prop_map(|(conflict, value, by, at, before, shown, reopens)| Resolution { conflict, value, by, at, before, shown, reopens })
}

fn ahead() -> impl Strategy<Value = Ahead> {
    (seen(), any::<i64>(), option::of(write_number()), any::<bool>(), any::<bool>()).prop_map(|(stream, at, until, shown, same)| Ahead {
        stream,
        at,
        until,
        shown,
        same,
    })
}

fn field() -> impl Strategy<Value = FieldState> {
    (
        pair(option::of(seen()).boxed()),
        option::of(pair(value().boxed())),
        option::of(flight()),
        option::of(conflict_number()),
        option::of(resolution()),
        option::of(failure()),
        pair(proptest::collection::vec(unseen(), 0..3).boxed()),
        pair(option::of(ahead()).boxed()),
        pair(option::of(any::<i64>()).boxed()),
    )
        .prop_map(|(seen, agreed, in_flight, held_by, resolution, failed, unseen, ahead, owed)| FieldState {
            seen,
            agreed,
            in_flight,
            held_by,
            resolution,
            failed,
            unseen,
            ahead,
            owed,
        })
}

fn creation() -> impl Strategy<Value = Creation> {
    prop_oneof![
        Just(Creation::Unasked),
        conflict_number().prop_map(Creation::Asked),
        word().prop_map(Creation::Wanted),
        Just(Creation::Refused)
    ]
}

fn side_state() -> impl Strategy<Value = SideState> + Clone {
    let owed = (any::<i64>(), any::<bool>()).prop_map(|(since, gone)| Owed { since, gone });
    let more = (option::of(word()), option::of(values()), creation(), option::of(owed), option::of(former()), option::of(write_number()));
    let first = (
        option::of(word()),
        any::<bool>(),
        values(),
        option::of(write_number()),
        option::of(word()),
        option::of(write_number()),
        option::of(conflict_number()),
        any::<bool>(),
        any::<i64>(),
        option::of(word()),
    );
    (first, more)
        .prop_map(
            |(
                (record, deleted, columns, creating, create_failed, deleting, deletion, followed, at, actor),
                (follow, archived, creation, owed, former, outlived),
            )| SideState {
                record,
                deleted,
                owed,
                columns,
                creating,
                create_failed,
                deleting,
                deletion,
                followed,
                at,
                actor,
                follow,
                archived,
                creation,
                former,
                outlived,
            },
        )
        .boxed()
}

fn former() -> impl Strategy<Value = Former> {
    let pairs = || btree_map(word(), pair(value().boxed()), 0..3);
    (word(), option::of(word()), pairs(), pairs(), any::<u64>()).prop_map(|(record, opposite, agreed, sent, next_write)| Former {
        record,
        opposite,
        agreed,
        sent,
        next_write,
    })
}

fn command() -> impl Strategy<Value = WriteCommand> {
    let kind = prop_oneof![
        Just(WriteKind::Update),
        Just(WriteKind::Create),
        Just(WriteKind::Delete),
        Just(WriteKind::Archive),
        Just(WriteKind::Unarchive)
    ];
    let what = (write_number(), side(), kind, option::of(word()), values(), values(), btree_map(word(), word(), 0..3));
    let why = (any::<bool>(), any::<bool>(), word(), any::<i64>(), option::of(word()), option::of(conflict_number()));
    (what, why).prop_map(
        |((number, side, kind, record, values, expected, fields), (decided, backfill, reason, caused_at, actor, conflict))| WriteCommand {
            number,
            side,
            kind,
            record,
            values,
            expected,
            fields,
            decided,
            backfill,
            reason,
            caused_at,
            actor,
            conflict,
        },
    )
}

fn open_write() -> impl Strategy<Value = OpenWrite> {
    (command(), btree_map(word(), (value(), value()), 0..3), steps(), any::<bool>(), any::<bool>(), any::<i64>())
        .prop_map(|(command, confirmed, steps, done, altered, at)| OpenWrite { command, confirmed, steps, done, altered, at })
}

fn steps() -> impl Strategy<Value = BTreeMap<String, Step>> {
    let step = (pair(value().boxed()), pair(value().boxed())).prop_map(|(before, after)| Step { before, after });
    btree_map(word(), step, 0..2)
}

fn confirmed() -> impl Strategy<Value = Confirmed> {
    (command(), word(), btree_map(word(), (value(), value()), 0..2), steps(), any::<bool>(), any::<i64>())
        .prop_map(|(command, record, columns, steps, altered, at)| Confirmed { command, record, columns, steps, altered, at })
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![side().prop_map(Choice::Side), value().prop_map(Choice::Value), Just(Choice::Both)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let demand = prop_oneof![
        (conflict_number(), choice()).prop_map(|(conflict, choice)| Demand::Settle { conflict, choice }),
        (option::of(conflict_number()), option::of(word()), choice(), option::of(conflict().prop_map(Box::new)))
            .prop_map(|(conflict, field, choice, kept)| Demand::Restore { conflict, field, choice, kept }),
        (conflict_number(), option::of(conflict().prop_map(Box::new))).prop_map(|(conflict, kept)| Demand::Reopen { conflict, kept }),
        (write_number(), option::of(confirmed().prop_map(Box::new))).prop_map(|(write, kept)| Demand::Undo { write, kept }),
        side().prop_map(|side| Demand::Create { side }),
        side().prop_map(|side| Demand::Refuse { side }),
        option::of(side()).prop_map(|side| Demand::Retry { side }),
    ];
    (word(), word(), any::<i64>(), option::of(word()), any::<bool>(), demand).prop_map(|(id, actor, at, batch, force, demand)| Verdict {
        id,
        actor,
        at,
        batch,
        force,
        demand,
    })
}

fn conflict() -> impl Strategy<Value = ConflictRecord> {
    let policy = prop_oneof![Just(Policy::LastWrite), Just(Policy::Crm), Just(Policy::Erp), Just(Policy::Review)];
    let settlement = (option::of(side()), value(), any::<bool>(), any::<bool>(), option::of(word()), any::<i64>())
        .prop_map(|(winner, chosen, tie, both, by, at)| Settlement { winner, chosen, tie, both, by, at });
    (conflict_number(), word(), pair(value().boxed()), pair(seen()), policy, word(), any::<i64>(), option::of(settlement), any::<bool>())
        .prop_map(|(number, field, base, values, policy, reason, opened_at, settled, overtaken)| ConflictRecord {
            number,
            field,
            base,
            values,
            policy,
            reason,
            opened_at,
            settled,
            overtaken,
        })
}

fn parent() -> impl Strategy<Value = Parent> {
    (word(), pair(option::of(word()).boxed())).prop_map(|(entity, records)| Parent { entity, records })
}

fn stored() -> impl Strategy<Value = Stored> {
    let maps = (
        btree_map(word(), field(), 0..3),
        btree_map(word(), parent(), 0..3),
        btree_map(any::<u64>(), open_write(), 0..3),
        btree_map(any::<u64>(), conflict(), 0..3),
        proptest::collection::vec(word(), 0..3),
        proptest::collection::vec(verdict(), 0..2),
        proptest::collection::vec(word(), 0..3),
    );
    let rest = (
        word(),
        pair(side_state()),
        any::<bool>(),
        any::<u64>(),
        any::<u64>(),
        word(),
        btree_map(any::<u64>(), word(), 0..3),
        btree_map((side(), any::<i64>()), word(), 0..3),
        any::<Option<i64>>(),
    );
    (maps, rest).prop_map(
        |(
            (fields, references, writes, conflicts, decided, queued, idle),
            (entity, sides, may_create, next_write, next_conflict, kind, sync_ids, waiting, look_at),
        )| Stored {
            state: EntityState {
                entity,
                sides,
                fields,
                references,
                idle,
                writes,
                conflicts,
                decided,
                queued,
                may_create,
                next_write,
                next_conflict,
            },
            kind,
            sync_ids,
            waiting,
            look_at,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_state_survives_the_store(stored in stored()) {
        let mut bytes = Vec::new();
        stored.put(&mut bytes);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(Stored::take(&mut rest), Ok(stored));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic(stored in stored(), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        stored.put(&mut bytes);
        let at = flip.index(bytes.len());
        bytes[at] ^= 0x55;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = Stored::take(&mut bytes.as_slice());
    }
}

#[test]
fn decimals_keep_their_scale() {
    let mut bytes = Vec::new();
    Value::Decimal(Decimal::new(100_000, 2)).save(&mut bytes);
    assert_eq!(Value::load(&mut bytes.as_slice()).map(|value| value.to_string()), Ok("1000.00".to_owned()));
}

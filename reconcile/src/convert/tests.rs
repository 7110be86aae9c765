//! Stories of conversions.

use super::*;

fn conversion(auto: bool) -> Conversion {
    let expression = |text: &str| Expression::compile(text).expect("compiles");
    Conversion {
        kind: "order".to_owned(),
        from: "opportunity".to_owned(),
        when: expression("record.is_won == true"),
        auto,
        object: "public.orders".to_owned(),
        id_column: "concord_id".to_owned(),
        customer_column: "customer_id".to_owned(),
        number_column: Some("number".to_owned()),
        constants: BTreeMap::from([("status".to_owned(), Value::text("open"))]),
        columns: BTreeMap::from([("total".to_owned(), expression("record.amount"))]),
    }
}

fn seen(won: bool, customer_record: Option<&str>, snapshot: bool) -> Event {
    Event::Seen {
        fields: BTreeMap::from([("is_won".to_owned(), Value::Bool(won)), ("amount".to_owned(), Value::Int(5))]),
        customer: Some("c1".to_owned()),
        customer_record: customer_record.map(str::to_owned),
        snapshot,
        at: 1,
        actor: Some("Dana".to_owned()),
    }
}

fn wish(id: &str) -> Event {
    Event::Wished(Wish { id: id.to_owned(), actor: "Ana".to_owned(), at: 1, batch: None })
}

fn made(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Make { .. })).count()
}

fn replies(effects: &[Effect]) -> Vec<(DecisionResult, &str)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply { result, reason, .. } => Some((*result, reason.as_str())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_won_opportunity_becomes_one_order_however_often_it_is_won() {
    let conversion = conversion(true);
    let mut state = Convertible::default();
    assert_eq!(made(&apply(&conversion, &mut state, seen(false, Some("7"), false))), 0);
    let effects = apply(&conversion, &mut state, seen(true, Some("7"), false));
    let [Effect::Make { values, reason, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(
        (values["total"].clone(), values["customer_id"].clone(), values["status"].clone()),
        (Value::Int(5), "7".into(), "open".into())
    );
    assert_eq!(reason, "the opportunity was won");
    for event in [seen(false, Some("7"), false), seen(true, Some("7"), false), seen(true, Some("7"), true)] {
        assert_eq!(made(&apply(&conversion, &mut state, event)), 0);
    }
    assert_eq!(apply(&conversion, &mut state, Event::Made("12".to_owned())), [Effect::Read { record: "12".to_owned() }]);
    apply(&conversion, &mut state, Event::Numbered(Some("SO12".to_owned())));
    for event in [seen(false, Some("7"), false), seen(true, Some("7"), false), Event::Made("12".to_owned())] {
        assert_eq!(made(&apply(&conversion, &mut state, event)), 0);
    }
    let effects = apply(&conversion, &mut state, wish("d1"));
    assert_eq!(replies(&effects), [(DecisionResult::Unchanged, "already converted: SO12")]);
}

#[test]
fn what_was_won_before_it_was_first_seen_is_converted_by_hand_only() {
    let conversion = conversion(true);
    let mut state = Convertible::default();
    assert_eq!(made(&apply(&conversion, &mut state, seen(true, Some("7"), true))), 0);
    assert_eq!(made(&apply(&conversion, &mut state, seen(true, Some("7"), false))), 0);
    assert_eq!(made(&apply(&conversion, &mut state, wish("d1"))), 1);
}

#[test]
fn it_waits_for_its_customer_and_answers_when_it_is_made() {
    let conversion = conversion(false);
    let mut state = Convertible::default();
    assert_eq!(made(&apply(&conversion, &mut state, seen(true, None, false))), 0);
    let effects = apply(&conversion, &mut state, wish("d1"));
    assert_eq!(replies(&effects), [(DecisionResult::Waiting, "it waits for its customer to have a record in the ERP")]);
    // The same wish again is one wish.
    let effects = apply(&conversion, &mut state, wish("d1"));
    assert_eq!((replies(&effects)[0].0, state.asked.len()), (DecisionResult::Waiting, 1));
    assert_eq!(made(&apply(&conversion, &mut state, Event::Linked(Some("7".to_owned())))), 1);
    apply(&conversion, &mut state, Event::Made("12".to_owned()));
    let effects = apply(&conversion, &mut state, Event::Numbered(Some("SO12".to_owned())));
    assert_eq!(replies(&effects), [(DecisionResult::Accepted, "order SO12 is made")]);
}

#[test]
fn what_is_not_won_or_has_no_customer_or_is_refused_is_answered_in_words() {
    let conversion = conversion(false);
    let mut state = Convertible::default();
    assert_eq!(replies(&apply(&conversion, &mut state, wish("d0")))[0].0, DecisionResult::Refused);
    apply(&conversion, &mut state, seen(false, Some("7"), false));
    assert!(replies(&apply(&conversion, &mut state, wish("d1")))[0].1.contains("not won"));
    apply(&conversion, &mut state, seen(true, Some("7"), false));
    assert_eq!(made(&apply(&conversion, &mut state, wish("d2"))), 1);
    let effects = apply(&conversion, &mut state, Event::Refused("total is too large".to_owned()));
    assert_eq!(replies(&effects), [(DecisionResult::Refused, "the order could not be made: total is too large")]);
    // By hand it is tried again, under another id.
    let effects = apply(&conversion, &mut state, wish("d3"));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Make { attempt: 2, .. })), "{effects:?}");
}

#[test]
fn what_was_deleted_before_it_could_be_converted_is_converted_when_it_comes_back() {
    let conversion = conversion(true);
    let mut state = Convertible::default();
    apply(&conversion, &mut state, seen(false, None, false));
    assert_eq!(made(&apply(&conversion, &mut state, seen(true, None, false))), 0, "its customer has no record yet");
    assert_eq!(made(&apply(&conversion, &mut state, Event::Gone)), 0);
    assert_eq!(made(&apply(&conversion, &mut state, seen(true, Some("7"), false))), 1);
}

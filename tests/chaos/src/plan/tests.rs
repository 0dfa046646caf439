use std::collections::BTreeSet;

use super::*;

#[test]
fn a_seed_has_one_plan_and_another_seed_another() {
    let plan = Plan::draw(7, 2_000, 5);
    assert_eq!(plan, Plan::draw(7, 2_000, 5));
    assert_eq!(plan.to_string(), Plan::draw(7, 2_000, 5).to_string());
    let others: BTreeSet<_> = (0..100).map(|seed| format!("{:?}", Plan::draw(seed, 2_000, 5).faults)).collect();
    assert_eq!(others.len(), 100);
}

#[test]
fn every_plan_has_all_kinds_of_faults_while_there_is_work_to_be_disturbed() {
    for (events, kills) in [(100, 0), (2_000, 5), (20_000, 20)] {
        for seed in 0..50 {
            let plan = Plan::draw(seed, events, kills);
            let count = |is: fn(&What) -> bool| plan.faults.iter().filter(|fault| is(&fault.what)).count();
            assert_eq!(count(|what| matches!(what, What::Kill { .. })), kills as usize);
            assert_eq!(count(|what| matches!(what, What::RestartPostgres(_))), (kills as usize / 5).max(1));
            for is in [
                |what: &What| matches!(what, What::Cut),
                |what: &What| matches!(what, What::Refuse(during) if *during > Duration::from_secs(3)),
                |what: &What| matches!(what, What::Delay { .. }),
                |what: &What| matches!(what, What::Garbage { .. }),
                |what: &What| matches!(what, What::Duplicate { through: Through::Topic, .. }),
                |what: &What| matches!(what, What::Duplicate { through: Through::Queue, .. }),
            ] {
                assert!(count(is) > 0, "{plan}");
            }
            let swallowed = plan.faults.iter().filter_map(|fault| match fault.what {
                What::Swallow { request, .. } => Some(request),
                _ => None,
            });
            assert_eq!(swallowed.collect::<BTreeSet<_>>(), BTreeSet::from(Request::ALL), "{plan}");
            // What can't be reached would be waited for in vain.
            assert!(plan.faults.iter().all(|fault| fault.due.count > 0 && fault.due.count < plan.healthy()), "{plan}");
            assert!(plan.faults.is_sorted_by_key(|fault| fault.due.count), "{plan}");
        }
    }
}

#[test]
fn three_kills_meet_all_roles() {
    let plan = Plan::draw(1, 2_000, 3);
    let killed = plan.faults.iter().filter_map(|fault| match fault.what {
        What::Kill { role, .. } => Some(role),
        _ => None,
    });
    assert_eq!(killed.collect::<BTreeSet<_>>(), BTreeSet::from(Role::ALL));
}

#[test]
fn about_one_event_in_a_hundred_is_poisoned_in_each_way() {
    for (events, poisoned) in [(100, 3), (2_000, 20), (20_000, 200)] {
        let plan = Plan::draw(3, events, 5);
        assert_eq!(plan.poisoned(), poisoned);
        assert!(plan.garbage > 0);
        assert_eq!(plan.healthy() + poisoned - plan.garbage, events);
        let kinds: Vec<_> = (0..events).filter_map(|event| plan.poison(event)).collect();
        assert!(kinds.contains(&Poison::Refused) && kinds.iter().any(|kind| matches!(kind, Poison::Broken(_))));
        let Some(Fault { what: What::Garbage { up_to }, .. }) =
            plan.faults.iter().rfind(|fault| matches!(fault.what, What::Garbage { .. }))
        else {
            panic!("{plan}")
        };
        assert!(*up_to <= plan.garbage);
    }
}

#[test]
fn an_address_says_which_event_it_is_and_what_must_become_of_it() {
    let plan = Plan::draw(3, 2_000, 5);
    for event in 0..plan.events {
        let address = plan.address(event);
        assert_eq!(Plan::number_of(&address), Some(event), "{address}");
        assert_eq!(address.starts_with(HEALTHY), plan.poison(event).is_none(), "{address}");
        assert_eq!(address.starts_with(REFUSED), plan.poison(event) == Some(Poison::Refused), "{address}");
    }
    assert_eq!(Plan::number_of("somebody@example.com"), None);
}

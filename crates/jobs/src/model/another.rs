//! Which jobs change with a release.

use api::jobs::JobDefinition;

/// Whether a job of this version, that waits since the release `before`, is another one in the release
/// `after`: it has none of that name, does not accept the version, or has another version of it than
/// before and than the job.
pub(crate) fn is_another(
    version: u32,
    before: Option<&JobDefinition>,
    after: Option<&JobDefinition>,
) -> bool {
    let Some(after) = after else { return true };
    let has_changed = before.is_some_and(|before| before.version != after.version);
    !after.accepts(version) || (has_changed && version != after.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: u32, oldest: u32) -> JobDefinition {
        let newest = version;
        JobDefinition { version, oldest, newest, ..JobDefinition::of(vec!["./work".into()]) }
    }

    #[test]
    fn what_is_gone_not_accepted_or_of_a_version_that_changed_is_another() {
        let (first, second, both) = (of(1, 1), of(2, 2), of(2, 1));
        assert!(is_another(1, Some(&first), None), "it is gone");
        assert!(is_another(1, Some(&first), Some(&second)), "it is not accepted");
        assert!(is_another(1, Some(&first), Some(&both)), "it is accepted, and has changed");
        assert!(!is_another(2, Some(&first), Some(&both)), "it was written for the new one");
        assert!(!is_another(1, Some(&both), Some(&both)), "nothing changes for it");
        assert!(!is_another(1, None, Some(&first)));
    }
}

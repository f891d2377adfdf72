//! Settings of what keeps the house: watchdogs and resource limits.

use super::Invalid;
use crate::domain::usage::UsagePolicy;
use crate::domain::validate::Violations;
use crate::domain::watchdog::SweepPolicy;

/// How the house is kept.
#[derive(Debug, Clone, Default)]
pub struct House {
    /// Which jobs are stuck that have no bound of their own.
    pub sweep: SweepPolicy,
    /// How resource limits are enforced.
    pub usage: UsagePolicy,
}

impl House {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut wrong = Violations::default();
        self.sweep.validate("sweep.", &mut wrong);
        self.usage.validate("usage.", &mut wrong);
        let spans = [
            ("sweep.period", "sweep-period", Some(self.sweep.period)),
            ("sweep.quiet_after", "stuck-after", self.sweep.quiet_after),
            ("sweep.run_after", "sweep-run-after", self.sweep.run_after),
            ("usage.sustain", "limit-sustain", Some(self.usage.sustain)),
            ("usage.grace", "limit-grace", Some(self.usage.grace)),
        ];
        let Some(first) = wrong.as_slice().first() else { return Ok(()) };
        let of_field = |(field, _, _): &&(&str, _, _)| *field == first.field;
        let Some((_, setting, given)) = spans.iter().find(of_field) else { return Ok(()) };
        let given = given.map(|span| humantime::format_duration(span).to_string());
        let allowed = first.description.trim_start_matches("must be ").to_owned();
        Err(Invalid { setting, given: given.unwrap_or_default(), allowed })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_setting_out_of_its_bounds_is_named_as_the_command_line_does() {
        assert_eq!(House::default().validate(), Ok(()));
        let mut house = House::default();
        house.sweep.quiet_after = Some(Duration::from_secs(59));
        let wrong = house.validate().unwrap_err().to_string();
        assert_eq!(wrong, "stuck-after is 59s, and must be from 1m to 24h");
        let mut house = House::default();
        house.usage.sustain = Duration::from_secs(3_601);
        assert_eq!(house.validate().unwrap_err().setting, "limit-sustain");
    }
}

"""What everything else is made of: keys, references, objects, outcomes, and the rule. Pure."""

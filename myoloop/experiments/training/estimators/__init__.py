"""Estimators of spasm and fatigue that learn: trained on virtual people, held against the rules on others."""

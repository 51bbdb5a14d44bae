"""Controllers that learn: what they are trained on, how, and how they are proven on people they have not seen."""

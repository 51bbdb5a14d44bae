"""Who may be stimulated where: what is asked, what blocks, who may override."""

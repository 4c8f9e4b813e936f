"""Results for people: tables, figures for papers, a page that stands alone."""

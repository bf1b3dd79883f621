-- Who stands in an organisation's place decides who acts for it: such words stand among those on its keys.
INSERT INTO key_event (organisation, log_index, tree_size)
SELECT organisation, log_index, tree_size FROM succession WHERE log_index IS NOT NULL;

-- The groups of each call of `span`: by sex and age where they are inputs, and the race and ethnicity on record.
CREATE OR REPLACE TEMP TABLE grouped AS
SELECT sequence, 'all' AS grp FROM span
UNION ALL
SELECT sequence, CASE WHEN name = 'sex_male' AND value > 0 THEN 'men' WHEN name = 'sex_male' THEN 'women'
                      WHEN value >= 65 THEN '65 and over' ELSE 'under 65' END
FROM facts JOIN span USING (sequence) WHERE kind = 'input' AND name IN ('sex_male', 'age_years')
UNION ALL
SELECT sequence, name FROM facts JOIN span USING (sequence) WHERE kind = 'group'
UNION ALL
SELECT sequence, replace(name, 'race_', 'race ') FROM facts JOIN span USING (sequence)
WHERE kind = 'input' AND name LIKE 'race\_%' ESCAPE '\' AND value > 0;

-- How many calls, values and cards of each day have which category. One row each: client, service, site, family,
-- subject, day, category, n. `span` has the calls of the days that are compared, with is_now for those of the window,
-- and `grouped` their groups.

-- The site is the care unit of the call; '' stands for all of a client together.
CREATE OR REPLACE TEMP TABLE scoped AS
SELECT *, '' AS part FROM span
UNION ALL
SELECT *, site AS part FROM span
WHERE site <> '' AND client IN (SELECT client FROM span WHERE site <> '' GROUP BY client HAVING count(DISTINCT site) > 1);

-- Deciles of each input, age of a value and score in the days before.
CREATE OR REPLACE TEMP TABLE edges AS
SELECT client, service, kind, name, min(value) AS low, max(value) AS high,
       list_sort(list_distinct(quantile_cont(value, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))) AS cuts
FROM facts JOIN span USING (sequence)
WHERE kind IN ('input', 'age', 'score', 'equation') AND NOT is_now GROUP BY ALL;

-- A prefetch key that calls of this client to this service brought on at least one day.
CREATE OR REPLACE TEMP TABLE keys AS
SELECT DISTINCT client, service, name FROM facts JOIN span USING (sequence) WHERE kind = 'prefetch';

CREATE OR REPLACE TEMP TABLE given AS
SELECT s.sequence, k.name, coalesce(bool_or(f.text = 'given'), false) AS is_given
FROM span s JOIN keys k USING (client, service)
LEFT JOIN facts f ON f.sequence = s.sequence AND f.kind = 'prefetch' AND f.name = k.name GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE shares AS
SELECT client, service, part AS site, 'errors' AS family, 'calls' AS subject, day,
       CASE WHEN outcome = 'error' THEN 'failed' ELSE 'answered' END AS category, count(*) AS n
FROM scoped GROUP BY ALL
UNION ALL
SELECT client, service, '', 'calls', 'repeated calls', day, CASE WHEN is_repeated THEN 'came twice' ELSE 'once' END,
       count(*) FROM span GROUP BY ALL
UNION ALL
SELECT client, service, '', 'calls', 'clocks of the machines', day,
       CASE WHEN is_behind THEN 'dated before an earlier one' ELSE 'in order' END, count(*) FROM span GROUP BY ALL
UNION ALL
SELECT client, service, '', 'calls', 'clocks of the values', day,
       CASE WHEN tomorrow THEN 'had a value of the future' ELSE 'in order' END, count(*)
FROM (SELECT s.*, EXISTS (SELECT 1 FROM facts f WHERE f.sequence = s.sequence AND f.kind = 'missing'
                          AND f.text = 'future') AS tomorrow FROM span s) GROUP BY ALL
UNION ALL
SELECT client, service, part, 'alerts', 'rate of cards', day, CASE WHEN outcome = 'cards' THEN 'card' ELSE 'none' END, count(*)
FROM scoped GROUP BY ALL
UNION ALL
SELECT client, service, part, 'prefetch', name, day, CASE WHEN is_given THEN 'given' ELSE 'not given' END, count(*)
FROM scoped JOIN given USING (sequence) GROUP BY ALL
UNION ALL
-- what is missing because a key is no longer sent is told of the key
SELECT client, service, part, 'missing', name, day, CASE WHEN kind = 'missing' THEN 'missing' ELSE 'there' END, count(*)
FROM scoped JOIN facts USING (sequence)
WHERE kind IN ('missing', 'input') AND NOT EXISTS (
    SELECT 1 FROM given g JOIN lost l ON l.client = scoped.client AND l.service = scoped.service AND l.name = g.name
    WHERE g.sequence = scoped.sequence AND NOT g.is_given)
GROUP BY ALL
UNION ALL
SELECT client, service, part, 'drift', CASE kind WHEN 'age' THEN 'age of ' ELSE '' END || name
       || CASE grp WHEN 'all' THEN '' ELSE ', ' || grp END, day,
       lpad(len(list_filter(cuts, lambda x: x < value))::VARCHAR, 2, '0'), count(*)
FROM scoped JOIN facts USING (sequence) JOIN edges USING (client, service, kind, name) JOIN grouped USING (sequence)
WHERE kind IN ('input', 'score', 'equation') OR (kind = 'age' AND grp = 'all') GROUP BY ALL
UNION ALL
SELECT client, service, part, 'drift', 'range of ' || name, day,
       CASE WHEN value < low * CASE WHEN low > 0 THEN 0.8 ELSE 1.25 END OR value > high * CASE WHEN high > 0 THEN 1.25
            ELSE 0.8 END THEN 'outside' ELSE 'inside' END, count(*)
FROM scoped JOIN facts USING (sequence) JOIN edges USING (client, service, kind, name)
WHERE kind = 'input' AND len(cuts) > 2 GROUP BY ALL
UNION ALL
SELECT client, service, part, 'drift', 'decimals of ' || name, day,
       CASE WHEN value = round(value) THEN '0' WHEN value = round(value, 1) THEN '1' WHEN value = round(value, 2) THEN '2'
            ELSE '3' END, count(*)
FROM scoped JOIN facts USING (sequence) JOIN edges USING (client, service, kind, name)
WHERE kind = 'input' AND len(cuts) > 2 GROUP BY ALL;

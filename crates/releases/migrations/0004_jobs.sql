-- `jobs` is asked about releases too from now on, also about those that are current.
update release set phase = '"announcing"' where exists
    (select 1 from service where service.service = release.service and service.digest = release.digest);

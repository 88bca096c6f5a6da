-- VALID environments are Healthy with any number of nodes, none too: nodes come and go with the jobs.
-- Degraded before Suspended: what is INVALID has to be mended in a DISABLED environment too.
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to see the environment"}
end

for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    if condition.status ~= "True" then
      return {status = "Degraded", message = condition.message}
    end
    if obj.spec.state == "DISABLED" then
      return {status = "Suspended", message = "ComputeEnvironment is DISABLED"}
    end
    -- Ready already, and the provider has not answered yet.
    if status.status ~= "VALID" then
      return {status = "Progressing", message = condition.message}
    end
    return {status = "Healthy", message = condition.message}
  end
end
return {status = "Progressing", message = "Waiting for the condition Ready"}

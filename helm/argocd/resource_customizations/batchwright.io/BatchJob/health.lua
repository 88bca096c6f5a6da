-- A job is Progressing until it has ended, with whatever retries it has: a sync wave or a hook waits for that.
-- The final states come before observedGeneration: they stay, whatever is asked of the job afterwards.
local status = obj.status or {}
local said = status.state or ""
if status.statusReason ~= nil and status.statusReason ~= "" then
  said = said .. ": " .. status.statusReason
end

if status.state == "SUCCEEDED" then
  return {status = "Healthy", message = said}
end
if status.state == "FAILED" then
  return {status = "Degraded", message = said}
end
if status.state == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to see the job"}
end
return {status = "Progressing", message = said}

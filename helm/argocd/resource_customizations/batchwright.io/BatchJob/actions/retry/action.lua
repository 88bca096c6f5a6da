-- Makes the BatchJob that `batchwright retry` makes: what failed, at the revision that the job ran.
-- Its owner is the job it retries, so that Argo CD shows it and never prunes it, and no metadata is copied.
-- The name has the minute: pressed twice, the API server refuses the second one.
local os = require("os")

local LEFT_OUT = {dependsOn = true, terminate = true, cancel = true, terminateElements = true, cancelElements = true}

-- Argo CD makes an empty table a list, which is right for a command without words and wrong for objects. Those are left
-- out, which means the same but for the ones below. In a list they stay: the API server refuses them, and none is lost.
local function copied(value)
  if type(value) ~= "table" then
    return value
  end
  local made = {}
  for key, each in pairs(value) do
    if type(each) ~= "table" or next(each) ~= nil or key == "command" or type(key) == "number" then
      made[key] = copied(each)
    end
  end
  return made
end

local status = obj.status or {}
if status.state ~= "FAILED" then
  error("only a job that FAILED can be retried, and this one is " .. (status.state or "not seen yet"))
end

local spec = {}
for key, value in pairs(copied(obj.spec)) do
  if not LEFT_OUT[key] then
    spec[key] = value
  end
end
-- These take the place of the definition's, also when they say nothing.
if obj.spec.retryStrategy ~= nil and spec.retryStrategy == nil then
  spec.retryStrategy = {attempts = 1}
end
if obj.spec.consumableResourcePropertiesOverride ~= nil and spec.consumableResourcePropertiesOverride == nil then
  spec.consumableResourcePropertiesOverride = {consumableResourceList = {}}
end
spec.jobDefinition = status.jobDefinition or spec.jobDefinition
if obj.spec.arrayProperties ~= nil then
  local elements = status.arrayProperties or {}
  if (elements.failedIndexes or "") == "" then
    error("no element of this array failed: there is nothing to retry")
  end
  spec.arrayProperties = spec.arrayProperties or {}
  spec.arrayProperties.size = elements.size
  spec.arrayProperties.indexes = elements.failedIndexes
end

-- A name has 128 characters at most.
local base = obj.metadata.name
if #base > 109 then
  base = obj.metadata.uid
end
local job = {
  apiVersion = obj.apiVersion,
  kind = obj.kind,
  metadata = {
    name = base .. "-retry-" .. os.date("!%Y%m%d%H%M"),
    namespace = obj.metadata.namespace,
    ownerReferences = {
      {apiVersion = obj.apiVersion, kind = obj.kind, name = obj.metadata.name, uid = obj.metadata.uid}
    }
  },
  spec = spec
}
return {{operation = "create", resource = job}}

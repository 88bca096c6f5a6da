-- terminate is asked for once; retry runs again what failed: of an array, the elements that did.
local status = obj.status or {}
local finished = status.state == "SUCCEEDED" or status.state == "FAILED"
local retryable = status.state == "FAILED"
if obj.spec.arrayProperties ~= nil then
  local failed = (status.arrayProperties or {}).failedIndexes or ""
  -- The longest list of indexes that a job can be given; `batchwright retry` takes longer ones in parts.
  retryable = retryable and failed ~= "" and #failed <= 16384
end
return {
  terminate = {disabled = finished or obj.spec.terminate ~= nil, iconClass = "fa fa-fw fa-stop"},
  retry = {disabled = not retryable, iconClass = "fa fa-fw fa-redo"}
}

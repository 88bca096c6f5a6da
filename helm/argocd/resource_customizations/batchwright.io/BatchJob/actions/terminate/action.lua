-- A request that was made stays as it is: the API server refuses to change it.
if obj.spec.terminate == nil then
  obj.spec.terminate = {reason = "Terminated in Argo CD"}
end
return obj

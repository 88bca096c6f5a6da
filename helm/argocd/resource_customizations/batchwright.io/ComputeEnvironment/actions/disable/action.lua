obj.spec.state = "DISABLED"
return obj

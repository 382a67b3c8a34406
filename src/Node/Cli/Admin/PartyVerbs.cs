using System.CommandLine;
using System.Text.Json.Nodes;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin party</c> and <c>gongzhi admin role</c>.</summary>
internal static class PartyVerbs
{
    public static Command Create(AdminCall call)
    {
        var id = new Argument<string>("ID") { Description = Say.In("KIND:NAME, for instance client:collector.", "类型:名称，例如 client:collector。") };
        var kind = new Option<string>("--kind") { Description = Say.In("person, firm, ngo, media, official, device or client.", "person、firm、ngo、media、official、device 或 client。"), Required = true };
        var name = new Option<string>("--name") { Description = Say.In("Name to show.", "显示名称。"), Required = true };
        var create = new Verb("create", "Create a party, who may then hold roles; a system administrator may.", "新建主体，之后可授予角色；须为系统管理员。",
            "admin party create client:collector --kind client --name 采集程序") { id, kind, name };
        create.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Send(HttpMethod.Post, "api/v1/parties", new JsonObject
        {
            ["id"] = parsed.GetValue(id), ["kind"] = parsed.GetValue(kind), ["displayName"] = parsed.GetValue(name),
        }), made => Say.In($"Created party {made.GetProperty("id")}.", $"已新建主体 {made.GetProperty("id")}。"), cancel));
        var confirmed = new Argument<string>("PARTY") { Description = Say.In("Id of the party.", "主体编号。") };
        var subject = new Option<string?>("--subject") { Description = Say.In("The identifier at the provider, as its owner told you; needed where an administrator linked one.", "本人告知的统一身份认证标识；管理员绑定过身份时必填。") };
        var confirm = new Verb("confirm", "End a suspension, once the owner told you that he signs in again; a security administrator may.", "本人确认可重新登录后，解除暂停；须为安全管理员。",
            "admin party confirm person:0192… --subject 8f1c0c52-7a40-4d0e-9a57-0d4b8c1e2f33") { confirmed, subject };
        confirm.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Send(HttpMethod.Post, $"api/v1/parties/{Uri.EscapeDataString(parsed.GetValue(confirmed)!)}/confirm",
            new JsonObject { ["subject"] = parsed.GetValue(subject) }), _ => Say.In($"{parsed.GetValue(confirmed)} acts again.", $"{parsed.GetValue(confirmed)} 已恢复使用。"), cancel));
        return new Verb("party", "Parties: persons, firms, devices, clients.", "主体：人员、企业、设备、客户端。") { create, confirm };
    }

    public static Command CreateRoles(AdminCall call)
    {
        var give = Role("give", "Give a party a role in a unit; a security administrator of the unit or above may, not to himself.", "在某单位授予主体角色；须为该单位或上级的安全管理员，且不得授予本人。",
            "admin role give client:collector contributor city-data --until 2027-01-01T00:00:00+08:00", out var given);
        var until = new Option<DateTimeOffset?>("--until") { Description = Say.In("When it ends, as a time with offset (default: never).", "截止时间，须带时区（默认不截止）。") };
        give.Add(until);
        give.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Send(HttpMethod.Post, $"api/v1/parties/{Uri.EscapeDataString(parsed.GetValue(given.Party)!)}/roles", new JsonObject
        {
            ["role"] = parsed.GetValue(given.Role), ["unit"] = parsed.GetValue(given.Unit), ["until"] = parsed.GetValue(until) is { } end ? JsonValue.Create(end) : null,
        }), _ => Say.In($"{parsed.GetValue(given.Party)} is now {parsed.GetValue(given.Role)} in {parsed.GetValue(given.Unit)}.",
            $"{parsed.GetValue(given.Party)} 现为 {parsed.GetValue(given.Unit)} 的 {parsed.GetValue(given.Role)}。"), cancel));

        var take = Role("take", "Take a role from a party again.", "收回主体的角色。", "admin role take client:collector contributor city-data", out var taken);
        take.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Delete(
            $"api/v1/parties/{Uri.EscapeDataString(parsed.GetValue(taken.Party)!)}/roles?role={Uri.EscapeDataString(parsed.GetValue(taken.Role)!)}&unit={Uri.EscapeDataString(parsed.GetValue(taken.Unit)!)}"),
            _ => Say.In($"{parsed.GetValue(taken.Party)} is no longer {parsed.GetValue(taken.Role)} in {parsed.GetValue(taken.Unit)}.",
                $"{parsed.GetValue(taken.Party)} 不再是 {parsed.GetValue(taken.Unit)} 的 {parsed.GetValue(taken.Role)}。"), cancel));
        return new Verb("role", "Roles that parties hold in units.", "主体在单位中的角色。") { give, take };
    }

    private static Verb Role(string name, string english, string chinese, string example, out (Argument<string> Party, Argument<string> Role, Argument<string> Unit) arguments)
    {
        arguments = (
            new Argument<string>("PARTY") { Description = Say.In("Id of the party.", "主体编号。") },
            new Argument<string>("ROLE") { Description = Say.In("contributor, reader, steward, system-administrator, security-administrator or audit-administrator.", "contributor、reader、steward、system-administrator、security-administrator 或 audit-administrator。") },
            new Argument<string>("UNIT") { Description = Say.In("Id of the unit.", "单位编号。") });
        return new Verb(name, english, chinese, example) { arguments.Party, arguments.Role, arguments.Unit };
    }
}

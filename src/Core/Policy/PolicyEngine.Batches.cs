using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;

namespace Gongzhi.Core.Policy;

/// <summary>Yes or no, and why: a decision about something other than rows.</summary>
public sealed record Permission(bool Allowed, IReadOnlyList<Reason> Why)
{
    /// <summary>The refusal as a problem, <c>policy.refused</c> with <c>why</c>.</summary>
    public Problem Refusal() => new Decision(null, Why).Refusal();
}

/// <summary>Who may contribute to a dataset, and who may see what a contribution left behind: its receipt, its list of rejects, the proof of a row.</summary>
public sealed partial class PolicyEngine
{
    /// <summary>Id of the implicit grant under which a contributor sees its own rows again, and the purpose noted when it states none.</summary>
    public const string ContributorGrant = "contributor";

    /// <summary>Whether the caller may contribute: contributors and stewards of the owning unit, and whoever has a grant to contribute.</summary>
    public Permission DecideContribution(Caller caller, Dataset dataset, DateTimeOffset now)
    {
        if (directory.IsBootstrap(caller.Party))
            return Yes("bootstrap", "You are the client that sets this node up.", "您是初始化本节点的客户端。");
        if (IsAdministrator(caller, now))
            return No("administrator", "Administrators do not contribute data (三员分立).", "管理员不得报送业务数据（三员分立）。");
        var held = directory.Holdings(caller, now);
        if (held.Any(h => h.Role is Roles.Contributor or Roles.Steward && h.Unit == dataset.Owner))
            return Yes("owner", "You contribute for the unit that owns the dataset.", "您是数据集所有单位的报送人员。");
        var why = new List<Reason>();
        foreach (var candidate in directory.Party(caller.Party) is null ? [] : grants.ToContribute(dataset.Id))
        {
            if (!Grants.IsFor(candidate.Grant, caller.Party, held))
                continue;
            var until = DateTimeOffset.MaxValue;
            if (Ended(candidate.Grant, now, ref until) is not { } ended)
                return Yes("grant", $"Grant {candidate.Grant.Id} allows it.", $"授权 {candidate.Grant.Id} 允许。");
            why.Add(ended);
        }
        if (why.Count == 0)
            why.Add(new("contribute.none", $"Only contributors and stewards of the unit that owns {dataset.Id}, or of a unit with a grant to contribute, send data to it.",
                $"只有 {dataset.Id} 所有单位的报送人员、数据管理员，或持有报送授权者，方可报送。"));
        return new(false, why);
    }

    /// <summary>Whether the caller may see a batch's receipt and its list of rejects, which hold no value of any row.</summary>
    public Permission DecideReceipt(Caller caller, Dataset dataset, string contributor, DateTimeOffset now)
    {
        if (IsOpen(dataset))
            return Yes(OpenData, "The dataset is open to everybody.", "该数据集向公众开放。");
        if (caller.Party.Length > 0 && caller.Party == contributor)
            return Yes("contributor", "You made this contribution.", "此批数据由您报送。");
        return directory.Holdings(caller, now).Any(h => h.Role == Roles.Reader && h.Unit == dataset.Owner)
            ? Yes("owner", "You are a reader of the unit that owns the dataset.", "您是数据集所有单位的查询人员。")
            : No("receipt.none", "A receipt is for who contributed and for readers of the owning unit.", "回执仅供报送人与数据集所有单位的查询人员查看。");
    }

    /// <summary>
    /// Under which permit the caller may see one whole row with its proof. A proof commits to the row as it was contributed, so nothing of it can be hidden:
    /// every field must be shown as it is. Whether the row lies in the permit's row scope is still to be looked at.
    /// </summary>
    /// <param name="contributor">Who contributed the row; empty when there is no such row, so that the answer does not tell.</param>
    public Decision DecideProof(Caller caller, Dataset dataset, string contributor, string purpose, DateTimeOffset now, string? grant = null)
    {
        if (purpose.Length > 64 || (purpose.Length > 0 && !GrantRequest.Purpose().IsMatch(purpose)))
            return Denied("purpose.form", "A purpose is at most 64 lower-case letters, digits and hyphens.", "用途应为不超过 64 个小写字母、数字或连字符。");
        if (grant is null && IsOpen(dataset))
            return Decide(caller, dataset, OpenData, now);
        if (grant is null or ContributorGrant && caller.Party.Length > 0 && caller.Party == contributor
            && (directory.IsBootstrap(caller.Party) || !IsAdministrator(caller, now)))
        {
            return Allowed(Whole(dataset, ContributorGrant, purpose.Length > 0 ? purpose : ContributorGrant, epoch.Current),
                new("contributor", "You made this contribution.", "此批数据由您报送。"));
        }
        var decision = Decide(caller, dataset, purpose, now, grant);
        if (decision.Permit is not { } permit)
            return decision;
        var whole = permit.MinimumGroup <= 1 && dataset.Fields.All(f => permit.Fields.TryGetValue(f.Name, out var t) && t.Kind == TransformKind.Plain);
        return whole ? decision
            : Denied("proof.partial", "A proof shows the whole row, and your permit does not show every field as it is.", "证明会显示整行数据，而您的许可并未按原值开放全部字段。");
    }

    private bool IsAdministrator(Caller caller, DateTimeOffset now) =>
        !directory.IsBootstrap(caller.Party) && directory.Holdings(caller.Party, now).Any(h => Separation.IsAdministrator(h.Role));

    private static Permission Yes(string code, string en, string zh) => new(true, [new(code, en, zh)]);

    private static Permission No(string code, string en, string zh) => new(false, [new(code, en, zh)]);
}

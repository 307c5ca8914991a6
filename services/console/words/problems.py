"""Words for what goes wrong: said plainly, with what can be done about it."""

WORDS = {
    "silent.part": (
        "{service}系统暂时没有应答，现在看不到{what}。",
        "{service}系統暫時沒有應答，現在看不到{what}。",
        "{what} cannot be shown just now: the {service} system does not answer.",
    ),
    "silent.redemption": (
        "兑换系统暂时没有应答。",
        "兌換系統暫時沒有應答。",
        "The redemption system does not answer just now.",
    ),
    "silent.fulfillment": (
        "履约系统暂时没有应答。",
        "履約系統暫時沒有應答。",
        "The fulfillment system does not answer just now.",
    ),
    "silent.catalog": ("目录系统暂时没有应答。", "目錄系統暫時沒有應答。", "The catalog system does not answer just now."),
    "silent.heals": (
        "恢复后本页会自动补上。",
        "恢復後本頁會自動補上。",
        "This page fills in by itself once it is back.",
    ),
    "silent.again": ("立即重试", "立即重試", "Try again now"),
    "silent.title": ("系统暂时没有应答", "系統暫時沒有應答", "A system does not answer"),
    "silent.nothing_done": (
        "没有做任何更改。请稍后再试。",
        "沒有做任何更改。請稍後再試。",
        "Nothing was changed. Please try again in a moment.",
    ),
    "silent.unknown": (
        "不确定是否已经完成。请再按一次：同一申请只会执行一次。",
        "不確定是否已經完成。請再按一次：同一申請只會執行一次。",
        "It is not known whether it was done. Press again: the same request is carried out once only.",
    ),
    "problem.not_found.title": ("找不到此内容", "找不到此內容", "There is no such thing"),
    "problem.not_found": (
        "它可能不存在，或您的角色看不到它。",
        "它可能不存在，或您的角色看不到它。",
        "It does not exist, or your role does not see it.",
    ),
    "problem.role.title": ("您的角色不能使用此页", "您的角色不能使用此頁", "This page is not for your role"),
    "problem.role": (
        "如工作需要，请联系管理员为您增加角色。",
        "如工作需要，請聯絡管理員為您增加角色。",
        "If your work needs it, ask an administrator for the role.",
    ),
    "problem.form.title": ("表单未被接受", "表單未被接受", "The form was not accepted"),
    "problem.form": (
        "它不是从当前登录的页面发出的。没有做任何更改；请返回后重试。",
        "它不是從目前登入的頁面發出的。沒有做任何更改；請返回後重試。",
        "It does not come from a page of this sign-in. Nothing was changed; go back and try again.",
    ),
    "problem.session.title": ("登录已结束", "登入已結束", "Your sign-in has ended"),
    "problem.session": (
        "没有做任何更改。请重新登录后再试。",
        "沒有做任何更改。請重新登入後再試。",
        "Nothing was changed. Sign in again and repeat the step.",
    ),
    "problem.token.title": ("需要重新登录", "需要重新登入", "Please sign in again"),
    "problem.token": (
        "系统不再接受此次登录。",
        "系統不再接受此次登入。",
        "The systems do not take this sign-in any more.",
    ),
    "problem.sign_in.title": ("登录未完成", "登入未完成", "The sign-in was not completed"),
    "problem.sign_in.state": (
        "此次登录已过期或不是从这里开始的。请重新登录。",
        "此次登入已過期或不是從這裡開始的。請重新登入。",
        "It took too long, or was not begun here. Please sign in again.",
    ),
    "problem.sign_in.failed": (
        "身份系统没有给出可信的登录结果。",
        "身份系統沒有給出可信的登入結果。",
        "The identity provider did not confirm who you are.",
    ),
    "problem.sign_in.not_staff": (
        "此账号不是员工账号。",
        "此帳號不是員工帳號。",
        "This account is not one of staff.",
    ),
    "problem.sign_in.too_large": (
        "此账号的登录信息过大，无法保存。请联系管理员。",
        "此帳號的登入資訊過大，無法保存。請聯絡管理員。",
        "What the identity provider says about this account is too large to keep. Ask an administrator.",
    ),
    "problem.provider.title": ("身份系统没有应答", "身份系統沒有應答", "The identity provider does not answer"),
    "problem.provider": (
        "暂时无法登录或延续登录，请稍后再试。",
        "暫時無法登入或延續登入，請稍後再試。",
        "Signing in is not possible just now; please try again in a moment.",
    ),
    "problem.refused.title": ("未能完成", "未能完成", "This could not be done"),
    "problem.refused": ("系统没有接受。", "系統沒有接受。", "The system did not accept it."),
    "problem.request.title": ("无法处理此请求", "無法處理此請求", "This request cannot be handled"),
    "problem.request": ("请返回后重试。", "請返回後重試。", "Go back and try again."),
    "problem.internal.title": ("本页出错", "本頁出錯", "Something went wrong here"),
    "problem.internal": (
        "错误已记录。请重试；如再次出现，请报告此编号：{trace}",
        "錯誤已記錄。請重試；如再次出現，請報告此編號：{trace}",
        "It is on record. Try again; should it come back, report this number: {trace}",
    ),
}

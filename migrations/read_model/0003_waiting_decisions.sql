-- A decision that cannot be carried out yet is answered "waiting", and answered again later.
alter table decision drop constraint decision_result_check;
alter table decision add constraint decision_result_check check (result in ('accepted', 'unchanged', 'refused', 'waiting'));
